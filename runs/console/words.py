"""What people read instead of states and codes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from runs.queries import RunRow

STATE: Final[Mapping[str, str]] = {
    "queued": "Queued",
    "running": "Running",
    "waiting": "Waiting",
    "interrupted": "Interrupted",
    "paused": "Paused",
    "succeeded": "Done",
    "failed": "Failed",
    "cancelled": "Cancelled",
    "expired": "Ran out of time",
}
REASON: Final[Mapping[str, str]] = {
    "timer": "Waiting for a timer",
    "signal": "Waiting for a signal",
    "approval": "Waiting for approval",
    "outcome_unknown": "Waiting for somebody to say what happened",
    "poison": "Parked: it broke its worker again and again",
    "version": "Parked: this code cannot run its version",
    "budget": "Paused: its budget is used up",
    "children": "Waiting for the runs it started",
    "breaker": "Waiting until a tool or model is well again",
    "rate_limit": "Waiting for its turn under a rate limit",
}
ASKS: Final[Mapping[str, str]] = {
    "guard": "goes in circles: shall it go on?",
    "answer": "answers: may it leave?",
}
"""What is asked about an agent, where it is not about a call."""
TONE: Final[Mapping[str, str]] = {
    "queued": "calm",
    "running": "busy",
    "waiting": "calm",
    "interrupted": "person",
    "paused": "person",
    "succeeded": "good",
    "failed": "bad",
    "cancelled": "calm",
    "expired": "bad",
}
EFFECT_TONE: Final[Mapping[str, str]] = {
    "done": "good",
    "failed": "bad",
    "unknown": "person",
    "held": "person",
    "claimed": "busy",
    "retrying": "busy",
}
RISK_TONE: Final[Mapping[str, str]] = {
    "low": "calm",
    "medium": "calm",
    "high": "bad",
    "critical": "bad",
}
ORIGIN: Final[Mapping[str, str]] = {
    "user": "the user's request",
    "operator": "the agent's prompt",
    "trusted_tool": "trusted tool",
    "person": "approved by a person before",
    "tool": "result of",
    "child": "result of a child run",
    "signal": "signal",
    "memory": "memory",
    "earlier": "from before this run",
    "model": "written by the model",
    "schema": "a harmless choice of the tool's schema",
}
APPROVAL: Final[Mapping[str, str]] = {
    "open": "Waiting for a decision",
    "approved": "Approved",
    "rejected": "Rejected",
    "responded": "Answered, without the call",
    "happened": "Settled: it happened",
    "not_happened": "Settled: it did not happen",
    "expired": "Expired without an answer",
    "withdrawn": "Withdrawn: nobody needs the answer any more",
}


def status(run: RunRow) -> str:
    """Say in words where a run stands."""
    return REASON.get(run.reason) or STATE.get(run.state, run.state)


def tone(run: RunRow) -> str:
    """Give the kind of mark that a run's status has."""
    return TONE.get(run.state, "calm")


def span(seconds: float) -> str:
    """Say a length of time in its two largest units, short enough for a list."""
    seconds = abs(seconds)
    for size, name, smaller, lesser in (
        (86400, "d", 3600, "h"),
        (3600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if seconds >= size:
            whole, rest = divmod(int(seconds), size)
            below = rest // smaller
            return f"{whole} {name} {below} {lesser}" if below and whole < 10 else f"{whole} {name}"  # noqa: PLR2004
    return f"{seconds:.0f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"


def due(expires_at: datetime, *, now: datetime) -> str:
    """Say when an answer is due."""
    left = (expires_at - now).total_seconds()
    return f"due in {span(left)}" if left > 0 else f"overdue by {span(left)}"
