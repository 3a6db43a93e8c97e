"""The supervisor: named child processes that are kept alive, and that never outlive it.

    start ──▶ running ──dies──▶ waiting ──backoff──▶ running      until stop

Every child leads a process group of its own, so that Ctrl-C reaches the supervisor alone and
one signal reaches a whole group. What the supervisor cannot do when it is itself killed with
SIGKILL is done twice: the kernel signals each child (PR_SET_PDEATHSIG), and the next start
reads the records in the run folder and ends what they name (`end_leftovers`).

One thread starts, watches and restarts all children, because the kernel's parent-death signal
fires when the *thread* that started a child ends: that thread lives exactly as long as we do.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self, TypeVar

from agentops import process_ids
from agentops.process_ids import ProcessId

MARK: Final = "AGENTOPS_SUPERVISED_IN"
TICK_SECONDS: Final = 0.02
LOG_BYTES: Final = 5_000_000
SURVIVED_SECONDS: Final = 5.0
FIRST_BACKOFF_SECONDS: Final = 0.2
LONGEST_BACKOFF_SECONDS: Final = 5.0
PR_SET_PDEATHSIG: Final = 1

T = TypeVar("T")


class ProcessFailed(Exception):  # noqa: N818 - named as what happened
    """A process did not become ready; the message ends with the last lines of its log."""

    def __init__(self, name: str, reason: str, log: Path) -> None:
        super().__init__(f"{name} {reason}; see {log}\n{_last_lines(log)}".rstrip())
        self.name, self.reason, self.log = name, reason, log


@dataclass(frozen=True, slots=True)
class Account:
    """The unprivileged user that a process runs as."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """What to start, how to see that it is ready, and how to stop it."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    is_ready: Callable[[], bool] = lambda: True
    before_start: Callable[[], None] = lambda: None
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals = signal.SIGKILL
    grace_seconds: float = 5.0
    account: Account | None = None


@dataclass(slots=True)
class _Child:
    """A process as it stands now: running, or waiting to be started again."""

    process: Process
    log: Path
    popen: subprocess.Popen[bytes]
    started_at: float
    quick_deaths: int = 0
    restart_at: float | None = None
    restarts: int = 0
    was_killed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessStatus:
    """What a supervisor knows of one process."""

    name: str
    pid: int
    running: bool
    restarts: int
    log: Path


@dataclass(slots=True)
class Supervisor:
    """Keeps processes alive between `with` and its end, and ends them all there."""

    run: Path
    logs: Path
    _children: dict[str, _Child] = field(default_factory=dict)
    _requests: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = field(
        default_factory=queue.SimpleQueue
    )
    _stopped: bool = False
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        for folder in (self.run, self.logs):
            folder.mkdir(parents=True, exist_ok=True)
        end_leftovers(self.run)
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ask(self._stop_all)
        if self._thread:
            self._thread.join()

    def start(self, process: Process) -> None:
        """Start a process and keep it alive from now on; does not wait for it to be ready."""
        self._ask(partial(self._start, process))

    def wait_ready(self, name: str, *, timeout: float) -> float:
        """Return the seconds until the process was ready.

        Raises:
            ProcessFailed: it was not ready in time, or died again and again.
        """
        child = self._children[name]
        began = time.monotonic()
        while time.monotonic() - began < timeout:
            if child.restart_at is None and child.process.is_ready():
                return time.monotonic() - began
            if child.quick_deaths >= 3:  # noqa: PLR2004 - thrice is no accident
                raise ProcessFailed(name, "dies as soon as it starts", child.log)
            time.sleep(TICK_SECONDS)
        raise ProcessFailed(name, f"was not ready within {timeout:g} s", child.log)

    def kill(self, name: str) -> int:
        """Kill a process and its group with SIGKILL, on purpose; it is restarted at once.

        Returns the pid that was killed.
        """
        return self._ask(partial(self._kill, self._children[name]))

    def stop(self, name: str) -> None:
        """Stop one process for good."""
        self._ask(partial(self._stop, [self._children[name]]))

    def status(self) -> list[ProcessStatus]:
        return [
            ProcessStatus(
                name=name,
                pid=child.popen.pid,
                running=child.restart_at is None,
                restarts=child.restarts,
                log=child.log,
            )
            for name, child in list(self._children.items())
        ]

    # --- everything below runs in the supervisor's own thread ------------------------------

    def _ask(self, work: Callable[[], T]) -> T:
        if self._stopped or self._thread is None:
            raise RuntimeError("the supervisor runs only between `with` and its end")
        answer: Future[T] = Future()
        self._requests.put((answer, work))
        return answer.result()

    def _watch(self) -> None:
        while not self._stopped:
            with contextlib.suppress(queue.Empty):
                answer, work = self._requests.get(timeout=TICK_SECONDS)
                _settle(answer, work)
            for child in list(self._children.values()):
                self._look_after(child)

    def _start(self, process: Process) -> None:
        if process.name in self._children:
            raise ValueError(f"{process.name} is already started")
        process.before_start()
        log = self.logs / f"{process.name}.log"
        _rotate(log)
        popen = _spawn(process, log, mark=self.run)
        self._children[process.name] = _Child(process, log, popen, time.monotonic())
        self._record(process, popen.pid)

    def _look_after(self, child: _Child) -> None:
        now = time.monotonic()
        if child.restart_at is None and child.popen.poll() is not None:
            process_ids.signal_group(child.popen.pid, signal.SIGKILL)
            _note_death(child, now)
        if child.restart_at is not None and child.restart_at <= now:
            self._restart(child, now)

    def _restart(self, child: _Child, now: float) -> None:
        try:
            child.process.before_start()
            child.popen = _spawn(child.process, child.log, mark=self.run)
        except OSError:
            _note_death(child, now)
            return
        child.started_at, child.restart_at, child.was_killed = now, None, False
        child.restarts += 1
        self._record(child.process, child.popen.pid)

    def _kill(self, child: _Child) -> int:
        child.was_killed = True
        if child.popen.poll() is None:
            process_ids.signal_group(child.popen.pid, signal.SIGKILL)
            child.popen.wait()
        return child.popen.pid

    def _stop_all(self) -> None:
        self._stop(list(reversed(self._children.values())))
        self._stopped = True

    def _stop(self, children: list[_Child]) -> None:
        for child in children:
            if child.popen.poll() is None:
                process_ids.signal_group(child.popen.pid, child.process.stop_signal)
        began = time.monotonic()
        for child in children:
            left = began + child.process.grace_seconds - time.monotonic()
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.popen.wait(timeout=max(left, 0))
            if child.restart_at is None:
                process_ids.signal_group(child.popen.pid, signal.SIGKILL)
            child.popen.wait()
            del self._children[child.process.name]
            self._record_of(child.process.name).unlink(missing_ok=True)

    def _record(self, process: Process, pid: int) -> None:
        who = process_ids.identify(pid)
        record = {
            "name": process.name,
            "pid": pid,
            "started": who.started if who else "",
            "signal": int(process.death_signal),
        }
        written = self._record_of(process.name).with_suffix(".new")
        written.write_text(json.dumps(record) + "\n", encoding="utf-8")
        written.replace(self._record_of(process.name))

    def _record_of(self, name: str) -> Path:
        return self.run / f"{name}.json"


def recorded(run: Path) -> Iterator[tuple[str, ProcessId, signal.Signals]]:
    """Read what an earlier supervisor with this run folder had started."""
    for path in sorted(run.glob("*.json")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            who = ProcessId(int(record["pid"]), str(record["started"]))
            yield path.stem, who, signal.Signals(record["signal"])
        except (ValueError, KeyError, TypeError):
            continue


def end_leftovers(run: Path, *, grace: float = 5.0) -> list[str]:
    """End what an earlier supervisor with this run folder left, and return the names.

    Its processes are known by pid and start, their descendants by the mark in their
    environment, so that a reused pid is never ended.
    """
    ended = [
        name for name, who, first in recorded(run) if process_ids.end(who, first=first, grace=grace)
    ]
    for who in process_ids.carrying(MARK, str(run.resolve())):
        process_ids.end(who, first=signal.SIGKILL, grace=grace)
    for path in run.glob("*.json"):
        path.unlink(missing_ok=True)
    return ended


def _settle(answer: Future[T], work: Callable[[], T]) -> None:
    try:
        answer.set_result(work())
    except Exception as error:  # noqa: BLE001 - it is raised again where it was asked for
        answer.set_exception(error)


def _note_death(child: _Child, now: float) -> None:
    survived = now - child.started_at >= SURVIVED_SECONDS
    child.quick_deaths = 0 if survived or child.was_killed else child.quick_deaths + 1
    wait = FIRST_BACKOFF_SECONDS * 2 ** (child.quick_deaths - 2) if child.quick_deaths > 1 else 0.0
    child.restart_at = now + min(wait, LONGEST_BACKOFF_SECONDS)


def _spawn(process: Process, log: Path, *, mark: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603 - our own command lines, no shell
            list(process.command),
            env={**process.environment, MARK: str(mark.resolve())},
            cwd=process.folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_dies_with_parent(process.death_signal),  # noqa: PLW1509 - one system call
            **as_account(process.account),
        )


def as_account(account: Account | None) -> dict[str, Any]:
    """Give `subprocess` its arguments for running as `account`; none for None."""
    if account is None:
        return {}
    return {"user": account.uid, "group": account.gid, "extra_groups": []}


def _dies_with_parent(number: signal.Signals) -> Callable[[], None] | None:
    """Ask the kernel to signal the child when we end (Linux; elsewhere leftovers are found)."""
    if sys.platform != "linux":
        return None
    set_option = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def ask_kernel() -> None:
        set_option(PR_SET_PDEATHSIG, int(number))
        if os.getppid() != parent:
            os._exit(1)

    return ask_kernel


def _rotate(log: Path) -> None:
    if log.exists() and log.stat().st_size > LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))


def _last_lines(log: Path, *, count: int = 12) -> str:
    try:
        file: IO[bytes]
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 8192))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    return "\n".join(f"  | {line}" for line in lines[-count:])
