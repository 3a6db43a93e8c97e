"""A shop whose agent buys, lends and writes: what compensations are tried on."""

from __future__ import annotations

from typing import Any

from runs.agents import Context, Node, Program, graph
from tools.registry import ToolContext, ToolError, tool

ALLOW = """
rules:
  - {name: all, decision: allow, tools: "shop.*"}
"""
ASK = """
rules:
  - {name: ask, decision: require_approval, tools: "shop.refund", priority: 1, expires_after: 1h}
  - {name: all, decision: allow, tools: "shop.*"}
"""
DENY = """
rules:
  - {name: never, decision: deny, tools: "shop.release", priority: 1, reason: "kept for good"}
  - {name: all, decision: allow, tools: "shop.*"}
"""

seen: list[tuple[str, Any]] = []
broken: set[str] = set()


def happened(name: str, what: Any) -> Any:
    if name in broken:
        raise ToolError("closed today")
    seen.append((name, what))
    return f"{name} {len(seen)}"


@tool("shop.refund", effect="idempotent", risk="high")
def refund(amount: int, effect_result: str, effect_key: str, call: ToolContext) -> str:
    """Pay back."""
    return str(happened("refund", (amount, effect_result, effect_key, call.idempotency_key)))


@tool("shop.pay", effect="once", compensate="shop.refund")
def pay(amount: int) -> str:
    """Pay."""
    return str(happened("pay", amount))


def unreserve(item: str) -> str:
    """Give an item back."""
    return str(happened("release", item))


@tool("shop.reserve", effect="once", compensate=unreserve)
def reserve(item: str) -> str:
    """Reserve an item."""
    return str(happened("reserve", item))


@tool("shop.release", effect="once")
def release(item: str) -> str:
    """Give an item back."""
    return str(happened("release", item))


@tool("shop.lend", effect="once", compensate="shop.release")
def lend(item: str) -> str:
    """Lend an item."""
    return str(happened("lend", item))


@tool("shop.mail", effect="once")
def mail(text: str) -> str:
    """Send a letter, for good."""
    return str(happened("mail", text))


@tool("shop.wait", effect="once", compensate="shop.nothing")
def wait(text: str) -> str:
    """Wait for a person."""
    return str(happened("wait", text))


async def buy(ctx: Context) -> dict[str, Any]:
    return {"output": [await ctx.tool("shop.reserve", item="a chair")]}


async def settle(ctx: Context) -> dict[str, Any]:
    await ctx.tool("shop.pay", amount=5)
    await ctx.tool("shop.lend", item="a van")
    return {"output": await ctx.tool("shop.mail", text="thanks")}


SHOPPER = Program(
    name="shopper",
    version="1",
    graph=graph(
        Node(name="buy", run=buy, then=("settle",)), Node(name="settle", run=settle), start="buy"
    ),
    tools=("shop.*",),
)
