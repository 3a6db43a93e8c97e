"""Families on real workers that are killed at a join, or stopped until others did their work."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentops.proving.compare import whole
from agentops.proving.stage import Stage, stage
from runs.faults import VARIABLE
from tests.processes import eventually

pytestmark = pytest.mark.timeout(180)

TWINS = """
from runs.agents import Context, agent


@agent("twin", version="1", tools=("outside.*",))
async def twin(ctx: Context, number: int) -> str:
    await ctx.tool("outside.sign", what=f"sign {number}")
    return await ctx.tool("outside.book", what=f"book {number}")


@agent("parent", version="1", tools=("outside.*",), agents=("twin",))
async def parent(ctx: Context, request: dict) -> list:
    results = await ctx.join(await ctx.spawn("twin", [1, 2]))
    await ctx.tool("outside.pay", what="joined")
    return [one.state for one in results]
"""


@pytest.fixture(scope="module")
def stood(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    agents, faults = tmp_path_factory.mktemp("agents"), tmp_path_factory.mktemp("faults")
    (agents / "twins.py").write_text(TWINS, "utf-8")
    settings = {
        "AGENTOPS_AGENTS": f"agentops/proving/agents,{agents}",
        "AGENTOPS_LEASE_SECONDS": "2",
        "AGENTOPS_SWEEP_SECONDS": "0.1",
        VARIABLE: str(faults),
    }
    with stage(settings, workers=2, threads=4) as made:
        yield made


def end_of(stood: Stage, run_id: str) -> dict[str, Any]:
    end: dict[str, Any] = stood.ends([run_id])[run_id]
    return end


def happened(stood: Stage, end: dict[str, Any]) -> Counter[str]:
    """Count what the outside has of a run and of all who descend from it."""
    seen = stood.outside()
    rows = [row for one in whole(end) for row in seen.get(one["run"], ())]
    return Counter(row["what"] for row in rows if row["happened"])


def arm(stood: Stage, kill: str) -> None:
    """Count hits from now on, and kill whoever makes the one that is named."""
    faults = Path(stood.environment[VARIABLE])
    (faults / "hits").write_text("", "utf-8")
    (faults / "kill").write_text(kill, "utf-8")


def hits(stood: Stage, point: str) -> int:
    return Path(stood.environment[VARIABLE], "hits").read_text("utf-8").split().count(point)


@pytest.mark.parametrize("point", ["join.wanted", "join.committed", "join.sent"])
def test_a_parent_whose_worker_is_killed_at_its_join_joins_once(stood: Stage, point: str) -> None:
    arm(stood, f"{point} 1")

    run_id = stood.start(point, ["family"])["family"]
    stood.finish([run_id], patience=60)

    end = end_of(stood, run_id)
    assert hits(stood, point) >= 1
    assert (end["state"], len(end["output"])) == ("succeeded", 3)
    every = [f"child {who} {deed}" for who in "abc" for deed in ("book", "pay")]
    assert happened(stood, end) == Counter(every)


def test_a_child_that_ends_twice_is_counted_once(stood: Stage) -> None:
    """Its worker is stopped right before the end's commit, and comes when another made it."""
    run_id = stood.start("twice", ["parent"])["parent"]
    stopped = Path(stood.environment[VARIABLE], "stopped")

    def states() -> list[str]:
        return [child["state"] for child in end_of(stood, run_id)["children"].values()]

    assert eventually(lambda: states() == ["interrupted"] * 2, within=30)
    first = next(iter(end_of(stood, run_id)["children"].values()))
    arm(stood, "save.before 1 STOP")
    asked = {"tend": [first["run"]]}  # signs for the first one only
    assert eventually(lambda: bool(stood.ask(asked)) and stopped.exists(), within=30)
    assert eventually(lambda: states() == ["succeeded", "interrupted"], within=60)
    ends, followed = hits(stood, "save.after"), hits(stood, "nudge.done")
    os.kill(int(stopped.read_text("utf-8")), signal.SIGCONT)
    assert eventually(lambda: hits(stood, "nudge.done") > followed, within=30)

    assert hits(stood, "save.before") == 2, "there was no second end"
    assert hits(stood, "save.after") == ends == 1, "the second end was taken"
    assert end_of(stood, run_id)["state"] == "waiting"
    stood.finish([run_id], patience=60)
    end = end_of(stood, run_id)
    assert end["output"] == ["succeeded", "succeeded"]
    assert happened(stood, end) == Counter(["sign 1", "sign 2", "book 1", "book 2", "joined"])
