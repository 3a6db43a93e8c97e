"""A backtest in real workers that are killed in the middle of it: begun anew, counted once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from agentops.proving.stage import Stage, stage
from agentops.workers import ready_workers
from tests.processes import eventually

pytestmark = pytest.mark.timeout(240)
COPIES = 3000
"""So many runs that a backtest of them takes seconds."""
ASKING = """
import json, sys
import django
django.setup()
from django.db import connection
from policy import tenancy
from policy.core.actor import SYSTEM
from policy.operations.policies import create_version
from policy.queries import tenant_by_slug
from runs import outbox
from runs.models import Backtest, Run
from runs.operations.backtest import Asked, start_backtest
from uuid import UUID

copies = int(sys.argv[1])
tenant = tenant_by_slug("proving").id

def copied(run_id):
    columns = [f.column for f in Run._meta.local_concrete_fields if f.column != "id"]
    names = ", ".join(columns)
    connection.cursor().execute(
        f"INSERT INTO runs_run (id, {names}) SELECT gen_random_uuid(), {names}"
        " FROM runs_run, generate_series(1, %s) WHERE id = %s", [copies, run_id])

def begin(run_id):
    copied(run_id)
    draft = create_version({"rules": [{"name": "nothing", "decision": "deny"}]})
    asked = Asked(runs=copies + 1)
    return str(start_backtest(draft, asked, by=SYSTEM, send=outbox.send_backtest))

def look(backtest):
    row = Backtest.objects.get(pk=UUID(backtest))
    return [row.state, row.runs_judged, row.token, row.counts]

for line in sys.stdin:
    what, value = json.loads(line)
    with tenancy.scope(tenant):
        answer = {"begin": begin, "look": look}[what](value)
    print(json.dumps(answer), flush=True)
"""


class Asker:
    """A process with the stage's settings that starts a backtest and looks at it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, what: str, value: str) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps([what, value]), file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())


@pytest.fixture
def stood() -> Iterator[Stage]:
    with stage({}, workers=1, threads=2) as made:
        yield made


@pytest.fixture
def asker(stood: Stage) -> Iterator[Asker]:
    with subprocess.Popen(  # noqa: S603 - this very test
        [sys.executable, "-c", ASKING, str(COPIES)],
        env={**stood.environment, "DJANGO_SETTINGS_MODULE": "agentops.settings"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield Asker(process)


def every_worker(stood: Stage) -> list[int]:
    """Give the processes that one nursery forked, those of other queues too."""
    (known,) = ready_workers(stood.supervisor.run).values()
    listed = subprocess.check_output(["/bin/ps", "-eo", "pid=,ppid="], text=True)
    pairs = [line.split() for line in listed.splitlines()]
    parents = {int(pid): int(parent) for pid, parent in pairs}
    return [pid for pid, parent in parents.items() if parent == parents[known]]


def test_workers_killed_in_the_middle_of_a_backtest_leave_no_trace_in_its_result(
    stood: Stage, asker: Asker
) -> None:
    run_id = stood.start("recorded", ["chain"])["chain"]
    stood.finish([run_id])
    backtest = asker.ask("begin", run_id)

    def is_under_way() -> bool:
        state, judged, _, _ = asker.ask("look", backtest)
        assert state != "done", "it was over before anybody could be killed"
        return bool(judged)

    assert eventually(is_under_way, within=60)
    for pid in every_worker(stood):
        os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: asker.ask("look", backtest)[0] == "done", within=150)

    _, judged, token, counts = asker.ask("look", backtest)
    assert token == 2
    assert judged == counts["runs"] == COPIES + 1
    assert counts["calls"] == counts["different"] == counts["allow>deny"] > 0
