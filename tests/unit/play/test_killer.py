import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentops.play.kept import Kept
from agentops.play.killer import Killer


@pytest.fixture
def workers() -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    found = {name: subprocess.Popen(sleep) for name in ("worker-1", "worker-2")}  # noqa: S603
    yield found
    for process in found.values():
        process.kill()
        process.wait()


def kill_for(seconds: float, killer: Killer) -> None:
    async def killing() -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(killer.kill(), seconds)

    asyncio.run(killing())


def test_workers_are_killed_and_counted_but_the_last_one_is_left(
    tmp_path: Path, workers: dict[str, subprocess.Popen[bytes]]
) -> None:
    kept = Kept(tmp_path)
    kept.open({})

    def at_work() -> dict[str, int]:
        return {name: worker.pid for name, worker in workers.items() if worker.poll() is None}

    kill_for(0.7, Killer(at_work, 0.1, kept))

    assert kept.kills() == 1
    assert len(at_work()) == 1


def test_nobody_is_killed_before_the_time_has_come(
    tmp_path: Path, workers: dict[str, subprocess.Popen[bytes]]
) -> None:
    kept = Kept(tmp_path)
    kept.open({})

    kill_for(0.3, Killer(lambda: {name: w.pid for name, w in workers.items()}, 30, kept))

    assert kept.kills() == 0
    assert all(worker.poll() is None for worker in workers.values())
