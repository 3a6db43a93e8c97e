"""The checker's part about a run's bounds: its money when that is exhausted, and its deadline."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from policy.core import money
from policy.core.money import Amounts
from policy.core.outcomes import ErrorClass
from runs.core.lifecycle import FINAL, RunState
from runs.testing.rows import RunRow
from runs.testing.simulation.families import KNOWN
from runs.testing.simulation.outside import PRICES, QUOTE

if TYPE_CHECKING:
    from runs.testing.simulation.ground import Ground

CALLS: Final = (QUOTE.amounts, Amounts(cost=max(PRICES.values(), default=Decimal(0)), tool_calls=1))
"""The dearest calls that anybody makes."""


def gave_up(run: RunRow) -> bool:
    """Say whether a run was cancelled because its money was exhausted."""
    return run.state is RunState.CANCELLED and run.error_class == ErrorClass.BUDGET_EXCEEDED


@dataclass(slots=True)
class Clock:
    """What was seen of a run's deadline after the last commit."""

    has_one: bool = False
    left: timedelta | None = None


def look(ground: Ground, run: RunRow, clock: Clock) -> None:
    """Look at a run's deadline after a commit."""
    has_one = run.deadline is not None or run.deadline_left is not None
    if clock.has_one and not has_one:
        ground.wrong(f"G9 {run.id}: lost its deadline")
    if run.deadline_left is not None:
        _stands_still(ground, run, clock)
    elif run.deadline is not None and run.state not in FINAL:
        _goes_on(ground, run, run.deadline, clock)
    if run.state is RunState.EXPIRED and clock.left is not None:
        ground.wrong(f"G9 {run.id}: expired while its clock stood still")
    clock.has_one, clock.left = has_one, run.deadline_left


def _stands_still(ground: Ground, run: RunRow, clock: Clock) -> None:
    waits = run.state is RunState.INTERRUPTED or (
        run.state is RunState.PAUSED and run.due_at is None
    )
    if not (run.deadline_stops and waits) or run.deadline is not None:
        ground.wrong(f"G9 {run.id}: its clock stands still, and it is {run.state} {run.reason}")
    if clock.left not in {None, run.deadline_left}:
        ground.wrong(f"G9 {run.id}: had {clock.left} left, has {run.deadline_left}")


def _goes_on(ground: Ground, run: RunRow, deadline: datetime, clock: Clock) -> None:
    now = ground.clock.now
    if clock.left is not None and deadline > now + clock.left:
        ground.wrong(f"G9 {run.id}: has more time than was left")
    for name in run.ancestors:
        above = ground.store.runs[name]
        end = above.deadline if above.deadline_left is None else now + above.deadline_left
        if above.state not in FINAL and end is not None and deadline > end:
            ground.wrong(f"G9 {run.id}: may outlive the deadline of {name}")


def moved(ground: Ground, run: RunRow) -> None:
    """Look at a run that has just come to another state."""
    ends = KNOWN[run.agent].on_exhausted == "cancel"
    if gave_up(run) and not (ends and _is_exhausted(ground, run)):
        ground.wrong(f"G5 {run.id}: ended for want of money that is there: {run.error_detail}")
    if run.state is RunState.PAUSED and run.due_at is None and ends:
        ground.wrong(f"G5 {run.id}: waits for a raise, and its agent was to end")


def _is_exhausted(ground: Ground, run: RunRow) -> bool:
    above = [ground.store.budgets[name] for name in run.budgets]
    return any(not money.lacks_only_for_now(above, call) for call in CALLS)
