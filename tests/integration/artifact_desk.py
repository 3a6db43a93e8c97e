"""An agent that writes files, and a run of it that waits for a person."""

from __future__ import annotations

from typing import Any

from runs.agents import Context, Node, Program, graph
from tests.integration.engine_room import Room

SAID = {"text": "first"}
SCRIPT = "<script>alert(1)</script>"


async def draft(ctx: Context) -> None:
    await ctx.files.write("report.md", "draft", media_type="text/markdown")
    await ctx.files.write("pages/evil.html", SCRIPT, media_type="text/html")


async def revise(ctx: Context) -> None:
    old = await ctx.files.read("report.md")
    await ctx.files.write("report.md", old + SAID["text"].encode(), media_type="text/markdown")
    ctx.files.remove("pages/evil.html")


async def ask(ctx: Context) -> dict[str, Any]:
    await ctx.tool("desk.pay", order=1, amount=5)
    return {"output": [ctx.files.names(), (await ctx.files.read("report.md")).decode()]}


def a_writer() -> Program:
    shape = graph(
        Node(name="draft", run=draft, then=("revise",)),
        Node(name="revise", run=revise, then=("ask",)),
        Node(name="ask", run=ask),
        start="draft",
    )
    return Program(name="writer", version="1", graph=shape, tools=("desk.*",))


def hold(room: Room) -> str:
    """A run that wrote, revised, and waits for a person."""
    room.apply("rules: [{name: payments, decision: require_approval, tools: desk.pay}]")
    run_id = room.play(a_writer())
    assert (room.state(run_id), room.run(run_id).super_step) == ("interrupted", 2)
    return run_id
