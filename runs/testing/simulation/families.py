"""Simulated agents that start other agents, and wait for them in every way there is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from runs.agents import (
    Children,
    ChildrenFailed,
    Context,
    Join,
    Quorum,
    Reducer,
    Send,
    Step,
)
from runs.testing.simulation.programs import PROGRAMS, node, program


async def _child(ctx: Context) -> dict[str, Any]:
    number = ctx.state["input"]
    noted = await ctx.tool("note", item=f"child {number}")
    paid = await ctx.tool("pay", item=f"child {number}")
    return {"output": [number, noted, paid]}


async def _dawdler(ctx: Context) -> dict[str, Any]:
    await ctx.sleep(60 * ctx.state["input"])
    return {"output": await ctx.tool("note", item="slowly")}


async def _shaky(ctx: Context) -> dict[str, Any]:
    await ctx.tool("note", item="at least this")
    if ctx.state["input"] % 2:
        raise ValueError("odd")
    return {"output": "even"}


async def _begin(ctx: Context) -> dict[str, Any]:
    return {"brood": (await ctx.spawn("child", [1, 2, 3])).to_json()}


async def _gather(ctx: Context) -> dict[str, Any]:
    results = await ctx.join(Children.of(ctx.state["brood"]))
    return {"output": [[r.output for r in results], await ctx.tool("pay", item="c")]}


async def _divide(_: Context) -> Step:
    return Step(next=tuple(Send(node="part", arg=n) for n in range(2)))


async def _part(ctx: Context) -> dict[str, Any]:
    return {"log": [await ctx.run_agent("child", ctx.arg)]}


async def _collect(ctx: Context) -> dict[str, Any]:
    return {"output": list(ctx.state["log"])}


async def _clan(ctx: Context) -> dict[str, Any]:
    return {"output": await ctx.run_agent("family", "go")}


async def _race(ctx: Context) -> dict[str, Any]:
    await ctx.join(await ctx.spawn("dawdler", [1, 2, 30]), Quorum(2))
    return {"output": await ctx.tool("pay", item="a")}


async def _quarrel(ctx: Context) -> dict[str, Any]:
    children = await ctx.spawn("shaky", [0, 1, 2])
    try:
        await ctx.join(children)
    except ChildrenFailed:
        return {"output": await ctx.tool("pay", item="a")}
    return {"output": "no"}


async def _survey(ctx: Context) -> dict[str, Any]:
    results = await ctx.join(await ctx.spawn("shaky", [0, 1, 2]), Join.PARTIAL)
    return {"output": [r.state for r in results]}


async def _patron(ctx: Context) -> dict[str, Any]:
    results = await ctx.join(await ctx.spawn("frugal", [1, 2]), Join.PARTIAL)
    return {"output": len(results)}


FAMILIES: Final = {
    made.name: made
    for made in (
        program(
            "family", node("begin", _begin, "gather"), node("gather", _gather), brood=Reducer.LAST
        ),
        program(
            "brigade",
            node("divide", _divide),
            node("part", _part, "collect"),
            node("collect", _collect),
            log=Reducer.LOG,
        ),
        program("clan", node("main", _clan)),
        program("race", node("main", _race)),
        program("quarrel", node("main", _quarrel)),
        program("survey", node("main", _survey)),
        program("patron", node("main", _patron)),
    )
}
PLAYED: Final = PROGRAMS | FAMILIES
"""What people start."""

KNOWN: Final = PLAYED | {
    made.name: made
    for made in (
        replace(program("child", node("main", _child)), deadline_stops_for_people=True),
        program("dawdler", node("main", _dawdler)),
        program("shaky", node("main", _shaky)),
    )
}
"""These, and what they start."""

LOOSE: Final = frozenset({"hurried", "race", "quarrel", "dawdler", "shaky", "patron"})
"""Whose history depends on who was faster: only how they end is the same each time."""
