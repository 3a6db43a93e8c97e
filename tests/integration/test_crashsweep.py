"""The crash sweep from its command line, short: one kill at each second point."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def points() -> set[str]:
    """Find every fault point in the code: the play must pass each of them."""
    code = (path.read_text("utf-8") for path in (ROOT / "runs").rglob("*.py"))
    return {name for text in code for name in re.findall(r'faults\.point\("([^"]+)"\)', text)}


def crashsweep(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "manage.py", "crashsweep", *arguments],
        cwd=ROOT,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.timeout(300)
def test_a_process_killed_at_a_named_point_changes_nothing_but_time() -> None:
    done = crashsweep("--first", "--every", "2")

    assert done.returncode == 0, done.stdout + done.stderr
    verdict = json.loads(done.stdout.splitlines()[-1])
    assert verdict["points"] == len(points())
    assert verdict["kills"] == verdict["same_end"] >= 10
    assert (verdict["duplicated"], verdict["missing"], verdict["not_fired"]) == (0, 0, 0)
