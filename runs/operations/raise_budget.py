"""Raise a budget's limit, and wake the runs that waited for the money."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import transaction
from uuid_utils.compat import uuid7

from policy import budgets, tenancy
from policy.audit import record
from policy.core import money, periods
from policy.core.actor import Actor
from policy.core.json import JsonObject
from policy.core.money import Balance, Extra, Unit
from policy.errors import InvalidRaise
from policy.models import Budget, BudgetRaise, RaiseKind, RaiseProposal
from runs.errors import UnknownBudget
from runs.models import Run
from runs.nudging import wake


@dataclass(frozen=True, slots=True, kw_only=True)
class Raise:
    """By how much to raise what, for how long, and why.

    `amount` is in US dollars for cost, else a whole number. `kind` is permanent; once: to the end
    of the period that is; or until: to the moment named.
    """

    unit: Unit
    amount: Decimal
    reason: str
    kind: RaiseKind = RaiseKind.PERMANENT
    until: datetime | None = None


def raise_budget(budget_id: UUID, wanted: Raise, *, by: Actor, now: datetime) -> UUID | None:
    """Raise a limit; or propose it, where it is more than one person may grant alone.

    What they granted alone lately, of whichever budget, counts for that.

    Every run under the budget that is not ended is called upon, so that one which is
    just about to pause sees the new limit. Gives the proposal's id where there is one: then
    nothing is raised until somebody else confirms it.

    Raises:
        UnknownBudget: this tenant has no such budget.
        InvalidRaise: the amount, unit or date makes no sense, or no reason is given.
    """
    budget = Budget.objects.filter(pk=budget_id).first()
    if budget is None:
        raise UnknownBudget(f"there is no budget {budget_id}")
    _check(wanted, now)
    check_limited(budget, wanted.unit)
    if wanted.unit is Unit.COST and budgets.needs_another(wanted.amount, by.identity, now):
        return _propose(budget, wanted, by)
    carry_out(budget_id, wanted, by=by, now=now)
    return None


def carry_out(
    budget_id: UUID, wanted: Raise, *, by: Actor, now: datetime, confirmed_by: str = ""
) -> None:
    """Raise a limit that may be raised, and call upon the runs under it."""
    runs = runs_under(budget_id)
    found = budgets.locked(budget_id)
    if found is None:
        raise UnknownBudget(f"there is no budget {budget_id}")
    budget, balance = found
    check_limited(budget, wanted.unit)
    budgets.keep(budget, _raised(balance, wanted))
    BudgetRaise(
        id=uuid7(),
        budget=budget,
        unit=wanted.unit,
        amount=wanted.amount,
        kind=wanted.kind,
        until=wanted.until,
        raised_by=by.name,
        raised_by_id=by.identity,
        confirmed_by=confirmed_by,
        reason=wanted.reason,
    ).save(force_insert=True)
    facts = {**told(wanted), "at": now.isoformat()}
    facts |= {"confirmed_by": confirmed_by} if confirmed_by else {}
    record(by, "budget.raised", f"budget/{budget_id}", facts)
    call_upon(budget, runs, {"unit": wanted.unit, "amount": str(wanted.amount)})


def told(wanted: Raise) -> JsonObject:
    """Give a raise as the audit log keeps it."""
    facts: JsonObject = {
        "unit": wanted.unit,
        "amount": str(wanted.amount),
        "kind": wanted.kind,
        "reason": wanted.reason,
    }
    return facts if wanted.until is None else {**facts, "until": wanted.until.isoformat()}


def check_limited(budget: Budget, unit: Unit) -> None:
    """Go on only where the unit has a limit.

    Raises:
        InvalidRaise: it has none.
    """
    if getattr(budget, f"{unit}_limit") is None:
        raise InvalidRaise(f"{unit} has no limit here, so there is nothing to raise")


def _raised(balance: Balance, wanted: Raise) -> Balance:
    extra = Extra(unit=wanted.unit, amount=wanted.amount, until=wanted.until)
    return periods.raised(balance, extra, for_good=wanted.kind == RaiseKind.PERMANENT)


def runs_under(budget_id: UUID) -> list[Run]:
    """Lock the runs under a budget that are not ended, before anybody locks the budget."""
    return list(
        Run.objects.select_for_update(no_key=True)
        .filter(budget_ids__contains=[budget_id], finished_at=None)
        .order_by("id")
    )


def call_upon(budget: Budget, runs: list[Run], news: JsonObject) -> None:
    """Tell the locked runs under a budget, and those that come meanwhile, that there is money."""
    for run in runs:
        wake(run.tenant_id, run.id, "budget.raised", news)
    tenant_id, budget_id, seen = budget.tenant_id, budget.pk, {run.id for run in runs}
    transaction.on_commit(lambda: _wake_late_comers(tenant_id, budget_id, seen, news), robust=True)


def _wake_late_comers(tenant_id: UUID, budget_id: UUID, seen: set[UUID], news: JsonObject) -> None:
    """Wake runs that started, and were refused the money, while the limit was being raised."""
    with tenancy.scope(tenant_id):
        late = Run.objects.filter(budget_ids__contains=[budget_id], finished_at=None).exclude(
            id__in=seen
        )
        for run_id in late.order_by("id").values_list("id", flat=True):
            wake(tenant_id, run_id, "budget.raised", news)


def _propose(budget: Budget, wanted: Raise, by: Actor) -> UUID:
    proposal = RaiseProposal(
        id=uuid7(),
        budget=budget,
        unit=wanted.unit,
        amount=wanted.amount,
        kind=wanted.kind,
        until=wanted.until,
        reason=wanted.reason,
        proposed_by=by.name,
        proposed_by_id=by.identity,
    )
    proposal.save(force_insert=True)
    facts = {**told(wanted), "proposal": str(proposal.pk)}
    record(by, "budget.raise_proposed", f"budget/{budget.pk}", facts)
    return proposal.pk


def _check(wanted: Raise, now: datetime) -> None:
    amount = wanted.amount
    if not amount.is_finite() or amount <= 0 or amount > money.MOST:
        raise InvalidRaise(f"the amount must be more than 0, and no more than {money.MOST:,}")
    if wanted.unit is not Unit.COST and amount != amount.to_integral_value():
        raise InvalidRaise(f"{wanted.unit} is counted in whole numbers")
    if not wanted.reason.strip():
        raise InvalidRaise("say why: the reason is kept with the raise")
    if (wanted.kind == RaiseKind.UNTIL) != (wanted.until is not None):
        raise InvalidRaise("a raise until a date, and no other, needs the date")
    if wanted.until is not None and wanted.until <= now:
        raise InvalidRaise("the date is over: name one that is still to come")
