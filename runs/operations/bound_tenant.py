"""Bound what a whole tenant may spend: make its budget, lower it, or raise it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from policy import queries, tenancy
from policy.core.actor import Actor
from policy.core.money import Limits, Period, Unit
from policy.errors import InvalidBudget
from policy.models import BudgetScope
from policy.queries import BudgetView
from runs.operations.raise_budget import Raise, raise_budget
from runs.operations.set_budget import SetBudget, change_budget, make_budget

WHY: Final = "set by manage.py tenant"


def bound_tenant(limit: Decimal, *, by: Actor, now: datetime) -> UUID | None:
    """Let the scope's tenant spend so many US dollars, from the runs that are started next.

    A higher limit than before is a raise as any: gives the id of its proposal where it is more
    than one may grant alone.

    Raises:
        InvalidBudget: it is no amount, or less than what is spent and set aside.
    """
    tenant_id = tenancy.required("Tenant")
    if not limit.is_finite():
        raise InvalidBudget(f"{limit} is no amount")
    found = queries.budgets(scope=BudgetScope.TENANT, position=None, limit=1).items
    if not found:
        wanted = SetBudget(limits=Limits(cost=limit))
        make_budget(BudgetScope.TENANT, tenant_id, wanted, by=by, now=now)
        return None
    [known] = found
    allowed = known.cost.limit
    if allowed is not None and limit > allowed:
        more = Raise(unit=Unit.COST, amount=limit - allowed, reason=WHY)
        return raise_budget(known.id, more, by=by, now=now)
    change_budget(known.id, _with_cost(known, limit), version=known.version, by=by, now=now)
    return None


def _with_cost(known: BudgetView, limit: Decimal) -> SetBudget:
    limits: dict[str, Any] = {unit.unit: unit.limit for unit in known.units}
    soft: dict[str, Any] = {unit.unit: unit.soft for unit in known.units}
    return SetBudget(
        limits=Limits(**{**limits, Unit.COST: limit}),
        soft=Limits(**soft),
        period=Period(known.period),
    )
