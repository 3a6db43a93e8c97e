"""Raise a budget's limit, and wake the runs that waited for the money."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

from django.db import transaction
from django.db.models import F
from uuid_utils.compat import uuid7

from policy import tenancy
from policy.audit import record
from policy.core.actor import Actor
from policy.core.json import JsonObject
from policy.core.money import Unit
from policy.errors import InvalidRaise
from policy.models import Budget, BudgetRaise
from runs.core.lifecycle import FINAL
from runs.errors import UnknownBudget
from runs.models import Run
from runs.nudging import wake

MOST: Final = Decimal(10) ** 10


def raise_budget(
    budget_id: UUID, *, unit: Unit, amount: Decimal, reason: str, by: Actor, now: datetime
) -> None:
    """Add to a limit for good. `amount` is in US dollars for cost, else a whole number.

    Every run under the budget that is not ended is called upon, so that one which is
    just about to pause sees the new limit.

    Raises:
        UnknownBudget: this tenant has no such budget.
        InvalidRaise: the amount or unit makes no sense, or no reason is given.
    """
    budget = Budget.objects.filter(pk=budget_id).first()
    if budget is None:
        raise UnknownBudget(f"there is no budget {budget_id}")
    _check(budget, unit, amount, reason)
    runs = list(
        Run.objects.select_for_update(no_key=True)
        .filter(budget_ids__contains=[budget_id])
        .exclude(state__in=FINAL)
        .order_by("id")
    )
    limit = f"{unit}_limit"
    changed = Budget.objects.filter(pk=budget_id, **{f"{limit}__isnull": False}).update(
        **{limit: F(limit) + amount, "version": F("version") + 1}
    )
    if not changed:
        raise InvalidRaise(f"{unit} has no limit here, so there is nothing to raise")
    BudgetRaise(
        id=uuid7(), budget=budget, unit=unit, amount=amount, raised_by=by.name, reason=reason
    ).save(force_insert=True)
    facts = {"unit": unit, "amount": str(amount), "reason": reason, "at": now.isoformat()}
    record(by, "budget.raised", f"budget/{budget_id}", facts)
    news = {"unit": unit, "amount": str(amount)}
    for run in runs:
        wake(run.tenant_id, run.id, "budget.raised", news)
    tenant_id, seen = budget.tenant_id, {run.id for run in runs}
    transaction.on_commit(lambda: _wake_late_comers(tenant_id, budget_id, seen, news), robust=True)


def _wake_late_comers(tenant_id: UUID, budget_id: UUID, seen: set[UUID], news: JsonObject) -> None:
    """Wake runs that started, and were refused the money, while the limit was being raised."""
    with tenancy.scope(tenant_id):
        late = (
            Run.objects.filter(budget_ids__contains=[budget_id])
            .exclude(state__in=FINAL)
            .exclude(id__in=seen)
        )
        for run_id in late.order_by("id").values_list("id", flat=True):
            wake(tenant_id, run_id, "budget.raised", news)


def _check(budget: Budget, unit: Unit, amount: Decimal, reason: str) -> None:
    if not amount.is_finite() or amount <= 0 or amount > MOST:
        raise InvalidRaise("the amount must be more than 0, and no more than 10 billion")
    if unit is not Unit.COST and amount != amount.to_integral_value():
        raise InvalidRaise(f"{unit} is counted in whole numbers")
    if not reason.strip():
        raise InvalidRaise("say why: the reason is kept with the raise")
    if getattr(budget, f"{unit}_limit") is None:
        raise InvalidRaise(f"{unit} has no limit here, so there is nothing to raise")
