"""The runs of a proof: agents that call the outside in every way there is. Loaded by workers."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from agentops.proving.outside import result
from gateway.core.messages import Message, ToolOffer
from gateway.providers.scripted import script
from policy.core.money import Limits
from policy.core.outcomes import ErrorClass
from runs.agents import (
    Channel,
    Children,
    ChildResult,
    Context,
    Join,
    Node,
    Quorum,
    Reducer,
    Send,
    Step,
    agent,
    graph,
    graph_agent,
)
from tools.registry import Happened, NotHappened, ToolContext, ToolError, tool

BRANCHES = 3
MANY = 3
CHAIN = ("first", "second", "third")
TOOLS = ("outside.*",)
FAILS, LATE, A_LONG_TIME = "fails", "late", timedelta(minutes=10)


def _call(effect: str, what: str, context: ToolContext) -> str:
    asked = {"effect": effect, "what": what}
    asked |= {"run": context.run_id, "key": context.idempotency_key}
    url = f"{os.environ['AGENTOPS_PROVING_OUTSIDE']}/call"
    try:
        request = urllib.request.Request(url, json.dumps(asked).encode())  # noqa: S310 - ours
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 - ours
            said: str = json.load(answer)["result"]
            return said
    except urllib.error.HTTPError as error:
        raise ToolError("busy", error_class=ErrorClass.TRANSIENT_DEPENDENCY) from error


@tool("outside.look", effect="read", risk="low")
def look(what: str, context: ToolContext) -> str:
    """Look something up."""
    return _call("read", what, context)


@tool("outside.book", effect="idempotent", risk="low")
def book(what: str, context: ToolContext) -> str:
    """Book something, under a key."""
    return _call("idempotent", what, context)


@tool("outside.shaky", effect="idempotent", risk="low")
def shaky(what: str, context: ToolContext) -> str:
    """Book something with a service that fails at first."""
    return _call("shaky", what, context)


@tool("outside.pay", effect="once", risk="low")
def pay(what: str, context: ToolContext) -> str:
    """Pay, where nobody looks at keys."""
    return _call("once", what, context)


@tool("outside.sign", effect="once", risk="high")
def sign(what: str, context: ToolContext) -> str:
    """Sign, with a person's leave only."""
    return _call("once", what, context)


def _look_up(arguments: Mapping[str, Any], context: ToolContext) -> Happened | NotHappened:
    query = urllib.parse.urlencode({"key": context.idempotency_key})
    url = f"{os.environ['AGENTOPS_PROVING_OUTSIDE']}/look?{query}"
    with urllib.request.urlopen(url, timeout=20) as answer:  # noqa: S310 - ours
        happened = json.load(answer)["happened"]
    return Happened(result("mute", arguments["what"])) if happened else NotHappened()


@tool("outside.wire", effect="once", risk="low", timeout=1, reconcile=_look_up)
def wire(what: str, context: ToolContext) -> str:
    """Pay with a service that hangs up, and that can be asked what it did."""
    return _call("mute", what, context)


@script("proving")
def model(messages: Sequence[Message], _tools: Sequence[ToolOffer]) -> str:
    """Say back what was asked."""
    return f"You asked: {messages[-1]['content']}"


def _link(name: str) -> Any:
    async def run(ctx: Context) -> dict[str, Any]:
        if name == CHAIN[-1]:
            return {"output": name}
        said = await ctx.model(f"What of {name}?")
        found = await ctx.tool("outside.look", what=f"{name} look")
        booked = await ctx.tool("outside.book", what=f"{name} book")
        paid = await ctx.tool("outside.pay", what=f"{name} pay")
        return {"log": [said["content"], found, booked, paid], "output": name}

    return run


CHANNELS = {"log": Channel(reducer=Reducer.LOG), "total": Channel(reducer=Reducer.SUM)}

graph_agent(
    "chain",
    version="1",
    of=graph(
        *(
            Node(name=name, run=_link(name), then=CHAIN[number + 1 : number + 2])
            for number, name in enumerate(CHAIN)
        ),
        start=CHAIN[0],
        channels=CHANNELS,
    ),
    model="proving",
    tools=TOOLS,
)


def _split(_ctx: Context) -> Step:
    return Step(next=tuple(Send(node="branch", arg=number) for number in range(BRANCHES)))


async def _branch(ctx: Context) -> dict[str, Any]:
    booked = await ctx.tool("outside.book", what=f"branch {ctx.arg} book")
    paid = await ctx.tool("outside.pay", what=f"branch {ctx.arg} pay")
    return {"log": [booked, paid], "total": int(str(ctx.arg)) + 1}


def _join(ctx: Context) -> dict[str, Any]:
    return {"output": {"log": list(ctx.state["log"]), "total": ctx.state["total"]}}


graph_agent(
    "fan",
    version="1",
    of=graph(
        Node(name="split", run=_split),
        Node(name="branch", run=_branch, then=("join",)),
        Node(name="join", run=_join),
        start="split",
        channels=CHANNELS,
    ),
    tools=TOOLS,
)


@agent("many", version="1", model="proving", tools=TOOLS)
async def many(ctx: Context, _given: Any) -> list[str]:
    """Ask for many effects in one task."""
    said: list[str] = []
    for number in range(MANY):
        said.append(await ctx.tool("outside.book", what=f"many {number} book"))
        said.append(await ctx.tool("outside.pay", what=f"many {number} pay"))
    return said


@agent("asks", version="1", tools=TOOLS)
async def asks(ctx: Context, _given: Any) -> str:
    """Wait for a person's leave."""
    said: str = await ctx.tool("outside.sign", what="sign")
    return said


@agent("poor", version="1", tools=TOOLS, budget=Limits(tool_calls=2))
async def poor(ctx: Context, _given: Any) -> list[str]:
    """Run out of money, and be given more."""
    return [await ctx.tool("outside.book", what=f"poor {number}") for number in range(4)]


@agent("sleeper", version="1", tools=TOOLS)
async def sleeper(ctx: Context, _given: Any) -> str:
    """Sleep between two calls."""
    await ctx.tool("outside.book", what="evening")
    await ctx.sleep(timedelta(seconds=0.5))
    said: str = await ctx.tool("outside.pay", what="morning")
    return said


@agent("late", version="1", tools=TOOLS)
async def late(ctx: Context, _given: Any) -> str:
    """Be told to come again later."""
    said: str = await ctx.tool("outside.shaky", what="late")
    return said


@agent("doubtful", version="1", tools=TOOLS)
async def doubtful(ctx: Context, _given: Any) -> list[str]:
    """Make payments that end in doubt, and find out."""
    return [await ctx.tool("outside.wire", what=f"wire {number}") for number in range(2)]


@agent("child", version="1", tools=TOOLS)
async def child(ctx: Context, given: Any) -> str:
    """Pay, and what its parent says: fail at once, or come too late to be waited for."""
    if given == FAILS:
        raise RuntimeError(FAILS)
    if given == LATE:
        await ctx.sleep(A_LONG_TIME)
    await ctx.tool("outside.book", what=f"child {given} book")
    said: str = await ctx.tool("outside.pay", what=f"child {given} pay")
    return said


async def _draft(ctx: Context) -> None:
    await ctx.files.write("letter", "drafted")
    said = await ctx.tool("outside.pay", what="postage")
    await ctx.files.write("receipt", said)


async def _send(ctx: Context) -> dict[str, Any]:
    receipt = (await ctx.files.read("receipt")).decode()
    letter = (await ctx.files.read("letter")).decode()
    await ctx.files.write("letter", f"{letter}, {receipt}")
    ctx.files.remove("receipt")
    return {"output": [letter, receipt]}


graph_agent(
    "clerk",
    version="1",
    of=graph(
        Node(name="draft", run=_draft, then=("send",)),
        Node(name="send", run=_send),
        start="draft",
    ),
    tools=TOOLS,
)


def _good(results: Sequence[ChildResult]) -> list[Any]:
    return [one.output for one in results if one.succeeded]


@agent("family", version="1", tools=TOOLS, agents=["child"])
async def family(ctx: Context, _given: Any) -> list[Any]:
    """Wait for all of some children and for any of others, in one task."""
    every = await ctx.join(await ctx.spawn("child", ["a", "b"]))
    some = await ctx.join(await ctx.spawn("child", [FAILS, "c", LATE]), Join.ANY)
    return _good(every) + _good(some)


async def _beget(ctx: Context) -> dict[str, Any]:
    broods = [await ctx.spawn("child", who) for who in (["d", FAILS], ["e", LATE, "f"])]
    return {"log": [brood.to_json() for brood in broods]}


async def _gather(ctx: Context) -> dict[str, Any]:
    partial, quorum = (Children.of(brood) for brood in ctx.state["log"])
    ended = await ctx.join(partial, Join.PARTIAL)
    enough = await ctx.join(quorum, Quorum(2))
    return {"output": [[one.state for one in ended], _good(ended), _good(enough)]}


graph_agent(
    "clan",
    version="1",
    of=graph(
        Node(name="beget", run=_beget, then=("gather",)),
        Node(name="gather", run=_gather),
        start="beget",
        channels=CHANNELS,
    ),
    tools=TOOLS,
    agents=["child"],
)
