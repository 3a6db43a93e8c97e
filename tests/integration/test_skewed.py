"""Workers whose hosts' clocks are an hour wrong: runs neither wait for it nor expire by it."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentops.proving.stage import stage
from agentops.storm import skewed

pytestmark = pytest.mark.timeout(180)
AGENTS = ("sleeper", "late", "crowded", "hurried")
MORE = """
from datetime import timedelta

from policy.core.money import Limits
from runs.agents import Channel, Context, Node, Reducer, Send, Step, agent, graph, graph_agent


def split(_ctx: Context) -> Step:
    return Step(next=tuple(Send(node="one", arg=number) for number in range(3)))


async def one(ctx: Context) -> dict:
    return {"log": [await ctx.tool("outside.shaky", what=f"one {ctx.arg}")]}


graph_agent(
    "crowded",
    version="1",
    of=graph(
        Node(name="split", run=split),
        Node(name="one", run=one),
        start="split",
        channels={"log": Channel(reducer=Reducer.LOG)},
    ),
    tools=("outside.*",),
)


@agent("hurried", version="1", tools=("outside.*",), deadline=timedelta(minutes=5))
async def hurried(ctx: Context, _given: object) -> str:
    return await ctx.tool("outside.book", what="in time")
"""


@pytest.mark.parametrize("wrong", [3600, -3600], ids=["ahead", "behind"])
def test_a_worker_whose_clock_is_an_hour_wrong_is_on_time(wrong: int, tmp_path: Path) -> None:
    (tmp_path / "more.py").write_text(MORE, "utf-8")
    settings = {
        "AGENTOPS_AGENTS": f"agentops/proving/agents,{tmp_path}",
        skewed.SHIFT: str(wrong),
    }
    with stage(settings, workers=1, nursery=skewed.__name__) as stood:
        ids = stood.start("skewed", AGENTS)
        stood.finish(list(ids.values()), patience=60)
        ends = stood.ends(list(ids.values()))

    states = {agent: ends[run]["state"] for agent, run in ids.items()}
    assert states == dict.fromkeys(AGENTS, "succeeded")
