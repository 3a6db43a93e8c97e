"""The workloads as agents.

A loop over a fake model, plain (W1) and behind the gateway (W1e, W2), and a run with children (W3).
"""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from gateway.core.messages import Message, ToolOffer
from gateway.providers.scripted import script
from runs.agents import Channel, Context, Node, Reducer, Step, SyncContext, graph, graph_agent

ENOUGH: Final = 1_000_000
RANDOM_BYTES: Final = 225  # 300 characters of base64
CHARACTERS: Final = 300

CHANNELS: Final[Mapping[str, Channel]] = {"messages": Channel(reducer=Reducer.LOG)}


def instant_model() -> str:
    """Answer at once with what compresses as badly as a real answer's tokens would."""
    return base64.b64encode(os.urandom(RANDOM_BYTES)).decode()


def plain(ctx: SyncContext) -> Step:
    """Take the model's message, until there are as many as were asked for."""
    return _step(ctx, instant_model())


async def governed(ctx: Context) -> Step:
    """The same through the gateway: reserved, written down, sent, settled."""
    answer = await ctx.model("Go on.")
    return _step(ctx, answer["content"])


async def waiting(ctx: Context) -> Step:
    """Ask a slow model server once (W2)."""
    answer = await ctx.model("Go on.", model="slow")
    return _step(ctx, answer["content"])


def timed(ctx: SyncContext) -> Step:
    """Take a message that says when it was asked for, by the clock of the whole machine."""
    return _step(ctx, f"{time.monotonic()} {instant_model()}"[:CHARACTERS])


def rereading(ctx: SyncContext) -> Step:
    """Read the whole history at one step, as an agent that goes on does."""
    if ctx.super_step == ctx.state["input"]["at"] and len(list(ctx.state["messages"])) != (
        ctx.super_step
    ):
        raise ValueError("the history is not whole")
    return _step(ctx, instant_model())


def _step(ctx: Context | SyncContext, content: str) -> Step:
    last = ctx.super_step + 1 >= ctx.state["input"]["steps"]
    writes = {"messages": [{"role": "assistant", "content": content}]}
    return Step(writes=writes, next=() if last else None)


@script("bench")
def play(_messages: Sequence[Message], _tools: Sequence[ToolOffer]) -> str:
    """Answer as `instant_model`."""
    return instant_model()


def _declare(name: str, run: Any, **options: Any) -> None:
    loop = Node(name="model", run=run, then=("model",))
    whole = graph(loop, start="model", channels=CHANNELS, max_super_steps=ENOUGH)
    graph_agent(name, version="1", of=whole, **options)


async def family(ctx: Context) -> Step:
    """Start as many children as were asked for, and join them (W3)."""
    numbers = range(ctx.state["input"]["children"])
    started = await ctx.spawn("w3-child", [{"number": number} for number in numbers])
    answers = [joined.output for joined in await ctx.join(started)]
    if answers != list(numbers):
        raise ValueError(f"the children answered {answers}")
    return Step(writes={"output": len(answers)}, next=None)


def child(ctx: SyncContext) -> Step:
    """Answer at once."""
    return Step(writes={"output": ctx.state["input"]["number"]}, next=None)


_declare("w1", plain)
_declare("timed", timed)
_declare("rereading", rereading)
_declare("w1e", governed, model="bench")
_declare("w2", waiting)
for _name, _run, _agents in (("w3", family, ["w3-child"]), ("w3-child", child, [])):
    graph_agent(
        _name, version="1", of=graph(Node(name="only", run=_run), start="only"), agents=_agents
    )
