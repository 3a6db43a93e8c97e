"""A desk with an outside world of its own: tools that keep books beyond the engine's sight."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gateway.testing import Line
from runs.agents import Program
from runs.agents.react import ReactSettings, react
from runs.testing import Played, calls, play
from tools.registry import ToolContext, tool


@dataclass
class Outside:
    """What the services behind the tools know: each key's effect once, every call counted."""

    effects: dict[str, Any] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)

    def forget(self) -> None:
        """Begin anew."""
        self.effects.clear()
        self.calls.clear()

    def happen(self, key: str, what: Any) -> Any:
        """Do it, or give the first answer to a key that is known."""
        self.calls.append(key)
        return self.effects.setdefault(key, what)

    def blindly(self, key: str, what: Any) -> Any:
        """Do it again, whatever was done before."""
        self.calls.append(key)
        self.effects[f"{key} time {self.calls.count(key)}"] = what
        return what


world = Outside()


@tool("desk.read", effect="read", risk="low")
def read_order(order: int) -> dict[str, int]:
    """Look an order up."""
    return {"order": order, "amount": 40 + order}


@tool("desk.note", effect="idempotent", risk="low")
async def note(text: str, context: ToolContext) -> str:
    """Write a note; the service honours keys."""
    return str(world.happen(context.idempotency_key, f"noted {text}"))


@tool("desk.pay", effect="once", risk="high")
async def pay(order: int, amount: int, context: ToolContext) -> str:
    """Pay; the service knows no keys."""
    return str(world.blindly(context.idempotency_key, f"paid {amount} for {order}"))


SCRIPT: list[Line] = [
    calls(("desk.read", {"order": 7}), ("desk.note", {"text": "seen"})),
    calls(("desk.pay", {"order": 7, "amount": 47})),
    "Order 7 was paid.",
]


def a_desk(**change: Any) -> Program:
    """The react agent that works here."""
    settings = ReactSettings(**{"model": "fast", "tools": ("desk.*",), **change})
    return react("desk", "1", settings)


def look_into_the_books(played: Played) -> Played:
    """Answer, as a person would, whether calls in doubt happened."""
    while played.state == "interrupted":
        approval = played.approvals[0]
        key = next(e.key for e in played.effects if e.state == "unknown")
        found = [what for k, what in world.effects.items() if k.startswith(f"{key} time")]
        played = played.happened(found[0], approval) if found else played.not_happened(approval)
    return played


def play_desk(**change: Any) -> Played:
    """Serve one customer, from an empty world."""
    world.forget()
    return play(a_desk(), "Pay order 7", model=SCRIPT, **change)
