"""What is to be committed of a run that is set aside, or ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from policy.core.outcomes import ErrorClass
from runs.core.lifecycle import Reason, RunState
from runs.core.reconcile import Exhaust, Suspend
from runs.core.results import TaskResult
from runs.ports import Save, Settled


def set_aside(wakeups: int, suspend: Suspend, kept: Mapping[str, TaskResult]) -> Save:
    """Set a run aside; `kept` finished beside what waits, and is not run again."""
    until = suspend.due_at and suspend.due_at.isoformat()
    return Save(
        state=suspend.state,
        wakeups=wakeups,
        reason=suspend.reason,
        due_at=suspend.due_at,
        kept=kept,
        events=[(f"run.{suspend.state}", {"reason": suspend.reason, "until": until})],
    )


def ending(wakeups: int, state: RunState, error_class: ErrorClass, detail: str) -> Save:
    """End a run, and say why."""
    return Save(
        state=state,
        wakeups=wakeups,
        error_class=error_class,
        error_detail=detail,
        events=[(f"run.{state}", {"error_class": error_class, "detail": detail[:500]})],
    )


def given_up(wakeups: int, exhaust: Exhaust, kept: Mapping[str, TaskResult]) -> Save:
    """Cancel a run for want of money, unless it was called upon: there may be money now."""
    why = ErrorClass.BUDGET_EXCEEDED
    end = ending(wakeups, RunState.CANCELLED, why, exhaust.detail)
    return replace(end, reason=Reason.BUDGET, kept=kept)


def with_effects(save: Save, effects: Sequence[Settled]) -> Save:
    """Add what effects came to."""
    return replace(save, effects=effects) if effects else save
