"""The checker's part about what a run may spend: what becomes of it when that is exhausted."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from policy.core import money
from policy.core.money import Amounts
from policy.core.outcomes import ErrorClass
from runs.core.lifecycle import RunState
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
