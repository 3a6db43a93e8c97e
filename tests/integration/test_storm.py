"""A short storm: faults of every kind over runs on servers of its own. It judges no time."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from agentops.processes import CHECKOUT

pytestmark = pytest.mark.timeout(600)
RUNS = 24
HITS_SOMEBODY = {
    *("worker_killed", "nursery_killed", "zombie", "deploy"),
    *("web_killed", "web_killed_before_enqueue"),
    *("database_dropped", "database_vanished", "commit_swallowed"),
}
"""Faults that wait until there is whom they can hit: on a slow machine the storm may be over."""
GIVEN = ("DATABASE_URL", "REDIS_URL", "AGENTOPS_REDIS_PREFIX", "AGENTOPS_STATE")


def test_a_short_storm_loses_and_doubles_nothing() -> None:
    own = {name: value for name, value in os.environ.items() if name not in GIVEN}
    asked = ["--runs", str(RUNS), "--seconds", "8", "--seed", "3", "--quiet", "240"]

    ended = subprocess.run(  # noqa: S603 - ours
        [sys.executable, "manage.py", "storm", *asked, "--recovery", "1000"],
        cwd=CHECKOUT,
        env=own,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.stdout, ended.stderr
    said = json.loads(ended.stdout.splitlines()[-1])
    wrong = [line for line in ended.stdout.splitlines() if line.startswith("WRONG")]
    assert (said["lost"], said["duplicated"], said["broken"]) == (0, 0, 0), wrong
    assert said["ended"] >= 0.95 * RUNS, wrong
    missing = {kind for kind, times in said["faults"].items() if not times}
    assert missing <= HITS_SOMEBODY
    assert len(missing) <= len(said["faults"]) / 4
