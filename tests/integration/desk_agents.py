"""Agents at a desk, and the policy that asks before they pay."""

from __future__ import annotations

from typing import Any

from runs.agents import Context, Node, Program, graph
from runs.agents.react import ReactSettings, react
from tests.integration.engine_room import Room

ASK_FIRST = """
rules:
  - {name: reads, decision: allow, effects: [read, idempotent]}
  - {name: payments, decision: require_approval, tools: desk.pay, expires_after: 1h}
"""


async def pay(ctx: Context) -> dict[str, Any]:
    return {"output": await ctx.tool("desk.pay", order=1, amount=5)}


def of(run: Any, name: str = "payer") -> Program:
    shape = graph(Node(name="main", run=run), start="main")
    return Program(name=name, version="1", graph=shape, tools=("desk.*", "flaky.*"))


def a_desk(**change: Any) -> Program:
    return react("desk", "1", ReactSettings(**{"model": "fast", "tools": ("desk.*",), **change}))


def results(room: Room, run_id: str) -> list[Any]:
    return [m["content"] for m in room.messages(run_id) if m["role"] == "tool"]
