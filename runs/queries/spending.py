"""How far the money above a run is used up."""

from __future__ import annotations

from uuid import UUID

from policy.queries import budgets_of
from runs.models import Run


def budget_used(run_id: UUID) -> float:
    """Give the largest share of any limit above a run that is spent or reserved; 0 without one."""
    ids = Run.objects.filter(pk=run_id).values_list("budget_ids", flat=True).first() or []
    shares = [
        float((unit.spent + unit.reserved) / unit.limit) if unit.limit else 1.0
        for budget in budgets_of(ids)
        for unit in budget.units
        if unit.limit is not None
    ]
    return max(shares, default=0.0)
