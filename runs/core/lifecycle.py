"""The states of a run and the table of legal moves. Everything else is derived from it."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class RunState(StrEnum):
    """Where a run stands.

    RUNNING means a worker holds it, or its fanned-out tasks are held one by one.
    """

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    INTERRUPTED = "interrupted"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class Reason(StrEnum):
    """What a waiting, interrupted or paused run waits for; empty in every other state."""

    NONE = ""
    TIMER = "timer"
    APPROVAL = "approval"
    OUTCOME_UNKNOWN = "outcome_unknown"
    POISON = "poison"
    VERSION = "version"
    BUDGET = "budget"
    SIGNAL = "signal"
    CHILDREN = "children"
    BREAKER = "breaker"
    RATE_LIMIT = "rate_limit"


_HELD: Final = {
    RunState.QUEUED,
    RunState.CANCELLED,
    RunState.EXPIRED,
    RunState.FAILED,
}

NEXT: Final[dict[RunState, frozenset[RunState]]] = {
    RunState.QUEUED: frozenset(
        {RunState.RUNNING, RunState.CANCELLED, RunState.EXPIRED, RunState.INTERRUPTED}
    ),
    RunState.RUNNING: frozenset(set(RunState) - {RunState.RUNNING}),
    RunState.WAITING: frozenset(_HELD),
    RunState.INTERRUPTED: frozenset(_HELD),
    RunState.PAUSED: frozenset(_HELD),
    RunState.SUCCEEDED: frozenset(),
    RunState.FAILED: frozenset(),
    RunState.CANCELLED: frozenset(),
    RunState.EXPIRED: frozenset(),
}

FINAL: Final = frozenset(state for state, moves in NEXT.items() if not moves)
"""States that a run never leaves."""

HELD_BACK: Final = frozenset({RunState.WAITING, RunState.INTERRUPTED, RunState.PAUSED})
"""States in which a run waits for a named thing and holds nothing."""


def may_move(before: RunState, after: RunState) -> bool:
    """Say whether a run may go from one state to the other."""
    return after in NEXT[before]
