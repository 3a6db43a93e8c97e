"""The agents that the simulation plays: small, and each of another shape."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

from policy.core.money import Limits
from runs.agents import (
    Channel,
    Context,
    Node,
    Program,
    Reducer,
    RetryPolicy,
    Send,
    SignalTimeout,
    Step,
    graph,
)

PATIENT: Final = RetryPolicy(max_attempts=100, cap=timedelta(seconds=8))


async def _look(ctx: Context) -> dict[str, Any]:
    return {"seen": await ctx.tool("look", item="a")}


async def _ask(ctx: Context) -> dict[str, Any]:
    return {"told": (await ctx.model("shall I?"))["content"]}


async def _note(ctx: Context) -> dict[str, Any]:
    return {"noted": await ctx.tool("note", item="b")}


async def _pay(ctx: Context) -> dict[str, Any]:
    paid = await ctx.tool("pay", item="c")
    return {"output": [ctx.state["seen"], ctx.state["told"], ctx.state["noted"], paid]}


async def _divide(_: Context) -> Step:
    return Step(writes={"log": ["divided"]}, next=tuple(Send(node="part", arg=n) for n in range(3)))


async def _part(ctx: Context) -> dict[str, Any]:
    tool = ("note", "pay", "note")[int(ctx.arg)]
    did = await ctx.tool(tool, item=f"part {ctx.arg}")
    return {"log": [did], "sum": ctx.arg, "merged": {str(ctx.arg): did}}


async def _collect(ctx: Context) -> dict[str, Any]:
    state = ctx.state
    return {"output": [list(state["log"]), state["sum"], state["merged"]]}


async def _tell(ctx: Context) -> dict[str, Any]:
    return {"output": list(ctx.state["log"])}


async def _again(ctx: Context) -> Step:
    turn = ctx.state["turn"] + 1
    noted = await ctx.tool("note" if turn % 2 else "pay", item=f"turn {turn}")
    more = ("again",) if turn < 3 else ()  # noqa: PLR2004 - three turns
    return Step(writes={"turn": 1, "log": [noted], "output": turn}, next=more)


async def _move(ctx: Context) -> dict[str, Any]:
    first = await ctx.tool("transfer", item="a")
    second = await ctx.tool("transfer", item="b")
    return {"output": [first, second]}


async def _several(ctx: Context) -> dict[str, Any]:
    seen = await ctx.tool("look", item="a")
    told = await ctx.model("and now?")
    both = await asyncio.gather(ctx.tool("note", item="b"), ctx.tool("note", item="c"))
    paid = await ctx.tool("pay", item="d")
    return {"output": [seen, told["content"], list(both), paid]}


async def _guarded(ctx: Context) -> dict[str, Any]:
    wired = await ctx.call("wire", {"item": "a"})
    sent = await ctx.call("send", {"item": "b"})
    return {"output": [str(getattr(o, "value", "refused")) for o in (wired, sent)]}


async def _spend(ctx: Context) -> dict[str, Any]:
    first = await ctx.model("one")
    noted = await ctx.tool("note", item="a")
    second = await ctx.model("two")
    return {"output": [first["content"], noted, second["content"]]}


async def _share(_: Context) -> Step:
    return Step(next=tuple(Send(node="errand", arg=n) for n in range(3)))


async def _errand(ctx: Context) -> dict[str, Any]:
    if ctx.arg == 0:
        wired = await ctx.call("wire", {"item": "a"})
        return {"log": [str(getattr(wired, "value", "refused"))]}
    noted = await ctx.tool("note", item=f"errand {ctx.arg}")
    return {"log": [noted, (await ctx.model(f"errand {ctx.arg}?"))["content"]]}


async def _sleep(ctx: Context) -> dict[str, Any]:
    await ctx.tool("note", item="a")
    await ctx.sleep(600)
    return {"output": await ctx.tool("pay", item="b")}


async def _told(ctx: Context) -> dict[str, Any]:
    first = await ctx.wait_signal("word")
    noted = await ctx.tool("note", item="a")
    return {"output": [first, noted, await ctx.wait_signal("word")]}


async def _hurried(ctx: Context) -> dict[str, Any]:
    try:
        await ctx.wait_signal("word", timeout=100)
    except SignalTimeout:
        await ctx.tool("note", item="late")
    return {"output": await ctx.tool("pay", item="a")}


async def _file(ctx: Context) -> dict[str, Any]:
    await ctx.files.write("draft", "a", media_type="text/plain")
    noted = await ctx.tool("note", item="a")
    await ctx.files.write("note", str(noted["item"]))
    return {"noted": noted}


async def _unfile(ctx: Context) -> dict[str, Any]:
    held = [(await ctx.files.read(name)).decode() for name in ctx.files.names()]
    ctx.files.remove("draft")
    return {"output": [held, await ctx.tool("pay", item="b"), ctx.files.names()]}


async def _deadly(ctx: Context) -> dict[str, Any]:
    return {"output": await ctx.tool("pay", item="a")}


def node(name: str, run: Callable[..., Any], *then: str) -> Node:
    """Make a node that never tires of trying."""
    return Node(name=name, run=run, then=then, retry=PATIENT, timeout=timedelta(minutes=10))


def frugal(program: Program) -> Program:
    """Let a program's runs end where their money is exhausted."""
    return replace(program, on_exhausted="cancel")


def program(name: str, *nodes: Node, **channels: Reducer) -> Program:
    """Make a program that was granted everything."""
    declared = {channel: Channel(reducer=reducer) for channel, reducer in channels.items()}
    shape = graph(*nodes, start=nodes[0].name, channels=declared)
    return Program(name=name, version=name, graph=shape, model="model", tools=("*",), agents=("*",))


PROGRAMS: Final = {
    made.name: made
    for made in (
        program(
            "chain",
            node("look", _look, "ask"),
            node("ask", _ask, "note"),
            node("note", _note, "pay"),
            node("pay", _pay),
            seen=Reducer.LAST,
            told=Reducer.LAST,
            noted=Reducer.LAST,
        ),
        program(
            "fan",
            node("divide", _divide),
            node("part", _part, "collect"),
            node("collect", _collect),
            log=Reducer.LOG,
            sum=Reducer.SUM,
            merged=Reducer.MERGE,
        ),
        program("cycle", node("again", _again), turn=Reducer.SUM, log=Reducer.LOG),
        program("several", node("main", _several)),
        program("move", node("main", _move)),
        program("guarded", node("main", _guarded)),
        program("spend", node("main", _spend)),
        frugal(program("frugal", node("main", _spend))),
        frugal(
            program(
                "errands",
                node("share", _share),
                node("errand", _errand, "collect"),
                node("collect", _tell),
                log=Reducer.LOG,
            )
        ),
        program("sleep", node("main", _sleep)),
        program("told", node("main", _told)),
        program(
            "filing", node("file", _file, "unfile"), node("unfile", _unfile), noted=Reducer.LAST
        ),
        program("hurried", node("main", _hurried)),
        program(
            "poison", node("note", _note, "deadly"), node("deadly", _deadly), noted=Reducer.LAST
        ),
    )
}
TOLD: Final = {"told": 2, "hurried": 1}
"""How many signals people send to a run of these."""

DEADLY: Final = ("poison", 1)
"""The program, and the super-step, that kill every worker until a person mends them."""

SMALL: Final = Limits(cost=Decimal("2.5"), model_calls=8)
"""The budget that all runs of a schedule share: too small for all of them at once."""

LITTLE: Final = Limits(model_calls=1)
"""A budget of its own that no run of a program that asks models can end with."""
