"""A whole play, as a person gives the command: every process real, and some of them killed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from psycopg import sql

from agentops import process_ids
from agentops.servers.scratch import NAME_FILE, forget_keys
from examples.workloads.make_parcel_desk import TARGET
from tests.processes import eventually

pytestmark = pytest.mark.timeout(300)
ROOT = Path(__file__).resolve().parents[2]
SLOWLY = ("--model-latency", "0.2", "--tool-latency", "0.4")


class Play:
    """One `manage.py play` and what it says."""

    def __init__(self, running: subprocess.Popen[str]) -> None:
        self.running = running
        self.said: list[str] = []

    def until(self, pattern: str) -> re.Match[str]:
        """Read on until a line matches."""
        assert self.running.stdout
        for line in self.running.stdout:
            self.said.append(line.rstrip("\n"))
            if found := re.search(pattern, line):
                return found
        pytest.fail(f"never said {pattern!r}:\n" + "\n".join(self.said))

    def verdict(self) -> dict[str, Any]:
        """Read to the end, and return the last line."""
        assert self.running.stdout
        self.said += self.running.stdout.read().splitlines()
        assert self.running.wait(30) == 0, "\n".join(self.said[-60:])
        numbers: dict[str, Any] = json.loads(self.said[-1])
        return numbers

    def family(self) -> list[int]:
        """Name the play's process and everyone that it started, or that they started."""
        return [self.running.pid, *descendants(self.running.pid)]


def descendants(pid: int) -> list[int]:
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(c) for task in tasks for c in (task / "children").read_text().split()]
    except OSError:
        return []
    return [found for child in children for found in (child, *descendants(child))]


def kill_all(pids: list[int]) -> None:
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


@contextmanager
def a_play(*options: str, without: tuple[str, ...] = ()) -> Iterator[Play]:
    """Play; `without` names variables, of the servers that are given, that it does not see."""
    running = subprocess.Popen(  # noqa: S603 - our own command line
        [sys.executable, "manage.py", "play", str(TARGET), *options],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name not in without},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    play = Play(running)
    try:
        yield play
    finally:
        if running.poll() is None:
            running.send_signal(signal.SIGINT)
            running.wait(60)
        assert running.stdout
        running.stdout.close()


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Path]:
    """A folder that a play keeps; what it keeps on given servers goes with the test."""
    folder = tmp_path / "kept"
    yield folder
    name = (folder / NAME_FILE).read_text("utf-8").strip()
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        for statement, target in (("DATABASE", name), ("ROLE", f"{name}_app")):
            drop = sql.SQL("DROP {} IF EXISTS {}")
            connection.execute(drop.format(sql.SQL(statement), sql.Identifier(target)))
    forget_keys(os.environ["REDIS_URL"], name)


def numbers(verdict: dict[str, Any], *names: str) -> tuple[int, ...]:
    return tuple(verdict[name] for name in names)


def test_every_task_ends_right() -> None:
    with a_play() as play:
        verdict = play.verdict()

    assert numbers(verdict, "tasks", "right") == (12, 12)
    assert numbers(verdict, "writes_expected", "writes_seen") == (12, 12)
    assert numbers(verdict, "duplicated", "missing", "unknown", "approvals") == (0, 0, 0, 0)
    assert verdict["steps"] == 60
    assert verdict["calls"]["model"]["repeated"] == 0


def test_every_call_of_a_tool_that_writes_is_approved_once() -> None:
    with a_play("--approve-writes") as play:
        verdict = play.verdict()

    assert numbers(verdict, "right", "approvals", "duplicated") == (12, 14, 0)


def test_killed_workers_change_nothing_but_time() -> None:
    with a_play("--kill-worker-every", "1.5", *SLOWLY) as play:
        verdict = play.verdict()

    assert numbers(verdict, "right", "duplicated", "missing", "unknown") == (12, 0, 0, 0)
    assert verdict["kills"] > 0


def test_a_service_without_keys_is_never_asked_twice_but_a_person_is() -> None:
    with a_play("--kill-worker-every", "1", "--blunt", *SLOWLY) as play:
        verdict = play.verdict()

    assert numbers(verdict, "right", "duplicated", "missing") == (12, 0, 0)
    assert verdict["kills"] > 0


def test_after_a_sigkill_of_everything_the_same_command_goes_on(kept: Path) -> None:
    options = ("--data", str(kept), "--concurrency", "4", *SLOWLY)
    with a_play(*options) as first:
        first.until(r"\d+ s +[2-9]/12 done")
        kill_all(first.family())
    with a_play(*options) as second:
        verdict = second.verdict()

    assert second.said[0] == "Going on with this play."
    assert numbers(verdict, "right", "duplicated", "missing") == (12, 0, 0)


def test_an_emptied_redis_changes_nothing_but_time() -> None:
    slowly = ("--concurrency", "4", "--model-latency", "0.2")
    with a_play(*slowly, without=("DATABASE_URL", "REDIS_URL")) as play:  # nobody else's is emptied
        url = play.until(r"redis +(\S+)")[1]
        for done in (1, 4):
            play.until(rf"\d+ s +[{done}-9]/12 done")
            with redis.Redis.from_url(url) as client:
                client.flushall()
        verdict = play.verdict()

    assert numbers(verdict, "right", "duplicated", "missing") == (12, 0, 0)


def test_ctrl_c_leaves_no_process_and_no_folder() -> None:
    with a_play("--tool-latency", "3") as play:
        folder = Path(play.until(r"data +(\S+)")[1])
        play.until(r"1 s +\d+/12 done")
        family = play.family()
        play.running.send_signal(signal.SIGINT)
        assert play.running.wait(60) == 130

    assert len(family) > 5
    assert eventually(lambda: not any(process_ids.identify(pid) for pid in family))
    assert not folder.exists()
