"""Twenty tasks that have money for seven calls. Loaded by workers."""

from __future__ import annotations

from typing import Any, Final

from policy.core.money import Limits
from runs.agents import Channel, Context, Node, Reducer, Send, Step, graph, graph_agent

TASKS: Final = 20
CALLS: Final = 7


def _split(_ctx: Context) -> Step:
    return Step(next=tuple(Send(node="one", arg=number) for number in range(TASKS)))


async def _one(ctx: Context) -> dict[str, Any]:
    return {"log": [await ctx.tool("outside.book", what=f"crowd {ctx.arg}")]}


def _join(ctx: Context) -> dict[str, Any]:
    return {"output": len(list(ctx.state["log"]))}


graph_agent(
    "crowd",
    version="1",
    of=graph(
        Node(name="split", run=_split),
        Node(name="one", run=_one, then=("join",)),
        Node(name="join", run=_join),
        start="split",
        channels={"log": Channel(reducer=Reducer.LOG)},
    ),
    tools=("outside.*",),
    budget=Limits(tool_calls=CALLS),
)
