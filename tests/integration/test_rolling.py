"""A worker that is told to end gives its runs back: nothing waits, nothing is lost or repeated."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from agentops.proving.stage import Stage, stage
from agentops.workers import ready_workers
from tests.processes import eventually, is_alive

pytestmark = pytest.mark.timeout(180)
GRACE = 4.0
LEASE = 120.0
"""Far longer than a test: a run that had to wait for it would never be seen to end."""

SLOW = """
import asyncio, json, os, time, urllib.request
from pathlib import Path

from runs.agents import Context, SyncContext, Node, agent, graph, graph_agent
from tools.registry import ToolContext, tool

MARK = Path(os.environ["AGENTOPS_STATE"])


def call(what: str, context: ToolContext) -> None:
    asked = {"effect": "idempotent", "what": what, "run": context.run_id}
    asked["key"] = context.idempotency_key
    url = os.environ["AGENTOPS_PROVING_OUTSIDE"] + "/call"
    request = urllib.request.Request(url, json.dumps(asked).encode())
    urllib.request.urlopen(request, timeout=20).close()


@tool("outside.slow", effect="idempotent", risk="low", timeout=100)
async def slow(context: ToolContext) -> str:
    call(f"slow in {os.getpid()}", context)
    if not (mark := MARK / "slow-once").exists():
        mark.touch()
        await asyncio.sleep(90)
    return "answered"


@tool("outside.step", effect="idempotent", risk="low")
async def step(number: int, context: ToolContext) -> int:
    call(f"step {number}", context)
    await asyncio.sleep(0.1)
    return number


@agent("slow", version="1", tools=("outside.*",))
async def waits(ctx: Context, request: dict) -> str:
    return await ctx.tool("outside.slow")


@agent("steps", version="1", tools=("outside.*",))
async def steps(ctx: Context, request: dict) -> list[int]:
    return [await ctx.tool("outside.step", number=n) for n in range(25)]


def computes(ctx: SyncContext) -> dict:
    if not (mark := MARK / "computing").exists():
        mark.write_text(str(os.getpid()))
        time.sleep(90)
    return {"output": "computed"}


graph_agent("computes", version="1", of=graph(Node(name="main", run=computes), start="main"))
"""


@pytest.fixture(scope="module")
def stood(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Two workers whose leases outlast every test."""
    agents = tmp_path_factory.mktemp("agents")
    (agents / "rolling.py").write_text(SLOW, "utf-8")
    settings = {
        "AGENTOPS_AGENTS": f"agentops/proving/agents,{agents}",
        "AGENTOPS_LEASE_SECONDS": str(LEASE),
        "AGENTOPS_GRACE_SECONDS": str(GRACE),
    }
    with stage(settings, workers=2, threads=4) as made:
        yield made


def tell_to_end(stood: Stage, pid: int) -> None:
    """Send SIGTERM to a worker, and wait until it is gone and its heir takes work."""
    os.kill(pid, signal.SIGTERM)
    assert eventually(lambda: not is_alive(pid), within=GRACE + 2), "it outlived its grace"
    assert eventually(lambda: len(ready_workers(stood.supervisor.run)) == 2, within=30)


def calls(stood: Stage, run_id: str) -> list[dict[str, str]]:
    return [row for row in stood.outside().get(run_id, []) if row["run"] == run_id]


def test_a_call_that_outlasts_the_grace_is_given_up_and_asked_again_elsewhere(stood: Stage) -> None:
    run_id = stood.start("long", ["slow"])["slow"]
    assert eventually(lambda: len(calls(stood, run_id)) == 1, within=30)
    (first,) = calls(stood, run_id)

    tell_to_end(stood, int(first["what"].split()[-1]))
    stood.finish([run_id], patience=30)

    assert stood.ends([run_id])[run_id]["state"] == "succeeded"
    found = calls(stood, run_id)
    assert len({row["key"] for row in found}) == 1
    assert [bool(row["happened"]) for row in found] == [True, False]


def test_a_rolling_restart_under_load_repeats_no_call_and_no_run_waits(stood: Stage) -> None:
    ids = [stood.start(f"load-{n}", ["steps"])["steps"] for n in range(6)]
    assert eventually(lambda: all(calls(stood, run_id) for run_id in ids), within=30)

    for pid in list(ready_workers(stood.supervisor.run).values()):
        tell_to_end(stood, pid)
    stood.finish(ids, patience=60)

    ends = stood.ends(ids)
    assert {ends[run_id]["state"] for run_id in ids} == {"succeeded"}
    for run_id in ids:
        assert [row["what"] for row in calls(stood, run_id)] == [f"step {n}" for n in range(25)]


def test_a_node_that_computes_for_ever_does_not_keep_its_worker_or_its_run(stood: Stage) -> None:
    run_id = stood.start("computing", ["computes"])["computes"]
    mark = Path(stood.environment["AGENTOPS_STATE"], "computing")
    assert eventually(lambda: mark.exists() and bool(mark.read_text("utf-8")), within=30)

    tell_to_end(stood, int(mark.read_text("utf-8")))
    stood.finish([run_id], patience=30)

    assert stood.ends([run_id])[run_id]["state"] == "succeeded"


def test_a_nudge_that_was_taken_and_not_begun_is_not_lost_with_its_worker(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    agents = tmp_path_factory.mktemp("agents")
    (agents / "rolling.py").write_text(SLOW, "utf-8")
    settings = {
        "AGENTOPS_AGENTS": f"agentops/proving/agents,{agents}",
        "AGENTOPS_GRACE_SECONDS": str(GRACE),
    }
    with stage(settings, workers=1, threads=1) as alone:
        alone.supervisor.stop("sweeper")  # nobody else may find it
        held = alone.start("busy", ["slow"])["slow"]
        assert eventually(lambda: len(calls(alone, held)) == 1, within=30)
        taken = alone.start("taken", ["steps"])["steps"]
        queue = f"{alone.servers.redis_prefix}:runs"
        with redis.Redis.from_url(alone.servers.redis_url) as client:
            assert eventually(lambda: client.llen(queue) == 0, within=10), "it was not taken"
        (pid,) = ready_workers(alone.supervisor.run).values()

        os.kill(pid, signal.SIGTERM)

        alone.finish([taken, held], patience=40)
        ends = alone.ends([taken, held])
    assert {end["state"] for end in ends.values()} == {"succeeded"}
