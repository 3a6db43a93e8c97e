"""A graph of three nodes. Each `look_up` is a task of its own, on whichever worker is free."""

from __future__ import annotations

from typing import Any

from policy.core.json import Json
from runs.agents import Channel, Context, Node, Reducer, Send, Step, graph, graph_agent
from runs.errors import InvalidInput


async def plan(ctx: Context) -> Step:
    """Ask for questions, one a line, and send each on its way."""
    answer = await ctx.model(f"Plan research. Give three questions about: {ctx.state['input']}")
    questions = [line.strip() for line in answer["content"].splitlines() if line.strip()]
    return Step(next=tuple(Send(node="look_up", arg=question) for question in questions))


async def look_up(ctx: Context) -> dict[str, Any]:
    """Find what the library has on one question."""
    found = await ctx.tool("library.search", question=ctx.arg)
    return {"findings": [{"question": ctx.arg, "found": found}]}


async def write_up(ctx: Context) -> dict[str, Any]:
    """Put what was found into words."""
    findings = list(ctx.state["findings"])
    notes = "\n".join(f"{f['question']} {' '.join(f['found'].values())}" for f in findings)
    answer = await ctx.model(f"Write up what was found:\n{notes}")
    sources = sorted({name for finding in findings for name in finding["found"]})
    return {"output": {"text": answer["content"], "sources": sources}}


def _topic(value: Json) -> Json:
    if isinstance(value, str) and value.strip():
        return value.strip()
    raise InvalidInput([("", "give a topic, as a text")])


research = graph_agent(
    "research",
    version="1",
    of=graph(
        Node(name="plan", run=plan),
        Node(name="look_up", run=look_up, then=("write_up",)),
        Node(name="write_up", run=write_up),
        start="plan",
        channels={"findings": Channel(reducer=Reducer.LOG)},
        max_super_steps=10,
    ),
    model="fast",
    tools=("library.search",),
    accept=_topic,
    input_schema={"type": "string"},
    description="Look a topic up from several sides and write down what was found.",
)
