"""A short load: who submits hundreds delays nobody. It judges order and bounds, no time."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from agentops.processes import CHECKOUT

pytestmark = pytest.mark.timeout(600)
RUNS, FEW = 300, 6
GIVEN = ("DATABASE_URL", "REDIS_URL", "AGENTOPS_REDIS_PREFIX", "AGENTOPS_STATE")


def test_a_crowd_delays_nobody_and_the_broker_stays_small() -> None:
    own = {name: value for name, value in os.environ.items() if name not in GIVEN}
    asked = ["--runs", str(RUNS), "--http", "20", "--every", "0.3", "--step", "0.2"]

    ended = subprocess.run(  # noqa: S603 - ours
        [sys.executable, "manage.py", "load", *asked],
        cwd=CHECKOUT,
        env=own,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 0, ended.stdout + ended.stderr
    said = json.loads(ended.stdout.splitlines()[-1])
    assert said["ended"] == RUNS
    assert said["other_tenant_runs"] >= 1
    assert said["overtaken_by_other_tenant_max"] >= RUNS / 3
    assert said["broker_messages_max"] <= FEW * said["worker_slots"]
    assert said["refused"] >= 1
    assert said["refused_with"] == ["queue_full"]
    assert said["retry_after_seconds"]["max"] >= 1
