"""The supervisor keeps its processes alive, and never leaves one behind."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from agentops import process_ids
from agentops.process_ids import ProcessId
from agentops.supervisor import MARK, Process, ProcessFailed, Supervisor, end_leftovers
from tests.processes import eventually, is_alive

SLEEP = "import time; time.sleep(600)"
WITH_A_CHILD = (
    "import subprocess, sys, time; "
    f"subprocess.Popen([sys.executable, '-c', {SLEEP!r}]); time.sleep(600)"
)
DEAF = (
    "import pathlib, signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    "pathlib.Path(sys.argv[1]).touch(); time.sleep(600)"
)
A_SUPERVISOR = """
import pathlib, sys, time
from agentops.supervisor import Process, Supervisor
state = pathlib.Path(sys.argv[1])
with Supervisor(state / "run", state / "logs") as supervisor:
    supervisor.start(Process(
        name="worker", command=[sys.executable, "-c", sys.argv[2]], environment={}, folder=state,
    ))
    print(supervisor.status()[0].pid, flush=True)
    time.sleep(600)
"""


def a_process(code: str, *arguments: str, **changes: Any) -> Process:
    command = [sys.executable, "-c", code, *arguments]
    process = Process(name="worker", command=command, environment={}, folder=Path.cwd())
    return replace(process, **changes)


@contextlib.contextmanager
def running_python(code: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    started = subprocess.Popen(  # noqa: S603 - ourselves
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True
    )
    try:
        yield started
    finally:
        started.kill()
        started.communicate()


def a_supervisor(folder: Path) -> Supervisor:
    return Supervisor(folder / "run", folder / "logs")


def pid_of(supervisor: Supervisor, name: str = "worker") -> int:
    return next(status.pid for status in supervisor.status() if status.name == name)


def has_restarted(supervisor: Supervisor, times: int) -> bool:
    return supervisor.status()[0].restarts == times


def marked(folder: Path) -> list[ProcessId]:
    return list(process_ids.carrying(MARK, str(folder / "run")))


def test_a_process_that_dies_is_started_again(tmp_path: Path) -> None:
    with a_supervisor(tmp_path) as supervisor:
        supervisor.start(a_process(SLEEP))
        first = pid_of(supervisor)

        os.kill(first, signal.SIGKILL)

        assert eventually(lambda: pid_of(supervisor) != first)
        assert supervisor.status()[0].restarts == 1


def test_a_process_killed_on_purpose_is_replaced_at_once_however_often(tmp_path: Path) -> None:
    with a_supervisor(tmp_path) as supervisor:
        supervisor.start(a_process(SLEEP))

        for restarts in range(1, 6):
            killed = supervisor.kill("worker")
            assert not is_alive(killed)
            assert eventually(partial(has_restarted, supervisor, restarts), within=0.5)


def test_a_process_that_dies_as_soon_as_it_starts_is_reported_with_its_last_words(
    tmp_path: Path,
) -> None:
    with a_supervisor(tmp_path) as supervisor:
        supervisor.start(a_process("raise SystemExit('no such queue')", is_ready=lambda: False))

        with pytest.raises(ProcessFailed, match="no such queue"):
            supervisor.wait_ready("worker", timeout=30)


def test_a_process_that_dies_again_and_again_is_started_less_and_less_often(
    tmp_path: Path,
) -> None:
    with a_supervisor(tmp_path) as supervisor:
        supervisor.start(a_process("raise SystemExit(1)"))

        assert eventually(lambda: supervisor.status()[0].restarts == 3)
        assert not eventually(lambda: supervisor.status()[0].restarts > 4, within=0.5)


def test_stopping_ends_the_children_of_a_process_too(tmp_path: Path) -> None:
    with a_supervisor(tmp_path) as supervisor:
        supervisor.start(a_process(WITH_A_CHILD))
        assert eventually(lambda: len(marked(tmp_path)) == 2)

    assert marked(tmp_path) == []
    assert list((tmp_path / "run").iterdir()) == []


def test_a_process_that_ignores_sigterm_is_killed_after_its_grace(tmp_path: Path) -> None:
    deaf = tmp_path / "deaf"
    with a_supervisor(tmp_path) as supervisor:
        supervisor.start(a_process(DEAF, str(deaf), grace_seconds=0.2))
        assert eventually(deaf.exists)
        pid = pid_of(supervisor)

    assert not is_alive(pid)


def test_an_exception_leaves_no_process_behind(tmp_path: Path) -> None:
    pids = []

    def fail_after_starting() -> None:
        with a_supervisor(tmp_path) as supervisor:
            supervisor.start(a_process(SLEEP))
            pids.append(pid_of(supervisor))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_after_starting()

    assert [is_alive(pid) for pid in pids] == [False]


@pytest.mark.skipif(sys.platform != "linux", reason="needs PR_SET_PDEATHSIG")
def test_the_kernel_ends_the_processes_of_a_killed_supervisor(tmp_path: Path) -> None:
    with running_python(A_SUPERVISOR, str(tmp_path), SLEEP) as other:
        pid = int(other.stdout.readline()) if other.stdout else 0
        other.kill()

    assert eventually(lambda: not is_alive(pid))


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_the_next_start_ends_what_a_killed_supervisor_left(tmp_path: Path) -> None:
    with running_python(A_SUPERVISOR, str(tmp_path), WITH_A_CHILD) as other:
        assert eventually(lambda: len(marked(tmp_path)) == 2)
        other.kill()

    with a_supervisor(tmp_path):
        assert marked(tmp_path) == []


def test_a_reused_pid_is_left_alone(tmp_path: Path) -> None:
    with running_python(SLEEP) as stranger:
        record = {"name": "worker", "pid": stranger.pid, "started": "long ago", "signal": 9}
        (tmp_path / "worker.json").write_text(json.dumps(record), encoding="utf-8")

        ended = end_leftovers(tmp_path)

        assert ended == []
        assert stranger.poll() is None


def test_a_zombie_counts_as_dead() -> None:
    zombie = subprocess.Popen([sys.executable, "-c", ""])
    assert eventually(lambda: process_ids.identify(zombie.pid) is None)
    zombie.wait()
