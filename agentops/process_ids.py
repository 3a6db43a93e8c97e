"""Who a process is: its pid together with the moment it started.

A pid alone is reused sooner or later, so nothing here ends a process by pid alone: a recorded
process is ended only while the same pid still has the same start, and a zombie counts as dead.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
POLL_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class ProcessId:
    """One process of this machine, never mistaken for a later one with its number."""

    pid: int
    started: str


def identify(pid: int) -> ProcessId | None:
    """Name the live process with this pid; None when there is none, or only a zombie."""
    started = _started_by_proc(pid) if sys.platform == "linux" else _started_by_ps(pid)
    return ProcessId(pid, started) if started else None


def is_alive(process: ProcessId) -> bool:
    return identify(process.pid) == process


def end(process: ProcessId, *, first: signal.Signals, grace: float) -> bool:
    """End a process and its group; True when it was there.

    It gets `first`, and SIGKILL when it is still alive after `grace` seconds. A process that
    is not the one recorded is left alone.
    """
    if not is_alive(process):
        return False
    _signal(process.pid, first)
    if not _gone_within(process, grace):
        _signal(process.pid, signal.SIGKILL)
        _gone_within(process, grace)
    return True


def signal_group(leader: int, number: signal.Signals) -> None:
    """Send to every process of a group, also when its leader is gone; nobody left is fine."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)


def working_in(folder: Path, *, program: str) -> Iterator[ProcessId]:
    """Find the processes of `program` whose working folder is `folder` (Linux only).

    PostgreSQL's processes change to their data folder and leave their parent's process
    group, so that this is the one sure way to find those a killed postmaster left.
    """
    for entry in PROC.glob("[0-9]*"):
        try:
            here = (entry / "cwd").readlink() == folder
            same = (entry / "exe").readlink().name.split(" ")[0] == program
        except OSError:
            continue
        process = identify(int(entry.name)) if here and same else None
        if process:
            yield process


def carrying(variable: str, value: str) -> Iterator[ProcessId]:
    """Find the processes that were started with this environment variable (Linux only)."""
    needle = f"{variable}={value}".encode()
    for entry in PROC.glob("[0-9]*"):
        try:
            marked = needle in (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        process = identify(int(entry.name)) if marked else None
        if process:
            yield process


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        if os.getpgid(pid) == pid:
            os.killpg(pid, number)
        else:
            os.kill(pid, number)


def _gone_within(process: ProcessId, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while is_alive(process):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def _started_by_proc(pid: int) -> str:
    try:
        fields = (PROC / str(pid) / "stat").read_text(encoding="ascii", errors="replace")
        boot = (PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
    state, *rest = fields.rpartition(")")[2].split()
    return "" if state in "ZX" else f"{boot}/{rest[18]}"


def _started_by_ps(pid: int) -> str:
    shown = subprocess.run(  # noqa: S603 - a fixed command and a number
        ["/bin/ps", "-o", "stat=,lstart=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split(maxsplit=1)
    return "" if not shown or shown[0].startswith("Z") else shown[1].strip()
