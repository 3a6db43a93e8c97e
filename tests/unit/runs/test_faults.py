"""Fault points: nothing unless armed, and then a death at exactly one hit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
CODE = """
from runs import faults
for name in ("one", "two", "one", "two", "one"):
    faults.point(name)
print("alive")
"""


def play(folder: Path | None) -> subprocess.CompletedProcess[str]:
    environment = dict(os.environ)
    environment.pop("AGENTOPS_FAULT_POINTS", None)
    if folder is not None:
        environment["AGENTOPS_FAULT_POINTS"] = str(folder)
    return subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", CODE],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_points_do_nothing_unless_armed(tmp_path: Path) -> None:
    assert play(None).stdout == "alive\n"
    assert play(tmp_path).stdout == "alive\n"
    assert list(tmp_path.iterdir()) == []


def test_the_named_hit_kills_and_the_next_process_lives(tmp_path: Path) -> None:
    (tmp_path / "kill").write_text("one 2")

    assert play(tmp_path).returncode == -signal.SIGKILL
    assert (tmp_path / "hits").read_text().split() == ["one", "two", "one"]
    assert play(tmp_path).stdout == "alive\n"


def test_hits_are_counted_where_nobody_is_to_be_killed(tmp_path: Path) -> None:
    (tmp_path / "kill").write_text("nobody 0")

    assert play(tmp_path).stdout == "alive\n"
    assert len((tmp_path / "hits").read_text().split()) == 5
