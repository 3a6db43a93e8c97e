"""A run of a few steps, each of which waits a moment as if for an answer. Loaded by workers."""

from __future__ import annotations

import asyncio

from runs.agents import Context, Node, Step, graph, graph_agent


async def pace(ctx: Context) -> Step:
    """Wait a moment; go on as often as was asked for."""
    asked = ctx.state["input"]
    await asyncio.sleep(asked["seconds"])
    last = ctx.super_step + 1 >= asked["steps"]
    return Step(writes={"output": ctx.super_step + 1}, next=() if last else None)


graph_agent(
    "paces",
    version="1",
    of=graph(Node(name="pace", run=pace, then=("pace",)), start="pace", max_super_steps=1000),
)
