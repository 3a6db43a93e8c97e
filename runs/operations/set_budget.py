"""Make a budget for a scope, and set what one allows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from django.db import IntegrityError, transaction
from uuid_utils.compat import uuid7

from policy import budgets, tenancy
from policy.audit import record
from policy.core import money, periods
from policy.core.actor import Actor
from policy.core.json import JsonObject
from policy.core.money import Amounts, Balance, Bar, Limits, Period, Unit, bar, reached
from policy.errors import InvalidBudget
from policy.models import Budget, BudgetScope, Principal, ProposalKind, Team
from runs.errors import UnknownBudget
from runs.models import Agent
from runs.operations.propose_change import propose_change
from runs.operations.raise_budget import call_upon, runs_under

MADE: Final = (
    BudgetScope.TENANT,
    BudgetScope.TEAM,
    BudgetScope.USER,
    BudgetScope.AGENT,
    BudgetScope.THREAD,
)
"""Scopes that people make budgets for; a run and a child get theirs when they begin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetBudget:
    """What a budget is to allow. What is None in `limits` or `soft` has no such limit.

    One period begins at `anchor`, whole days and months counted in UTC; without one it is the
    beginning of the day, of the week (a Monday) or of the month that is.
    """

    limits: Limits = field(default_factory=Limits)
    soft: Limits = field(default_factory=Limits)
    period: Period = Period.NONE
    anchor: datetime | None = None

    def told(self) -> JsonObject:
        """Give it as a proposal and the audit log keep it."""
        facts: dict[str, Any] = {"period": self.period}
        if self.anchor is not None:
            facts["anchor"] = self.anchor.isoformat()
        for name, limits in {"limits": self.limits, "soft": self.soft}.items():
            facts[name] = {
                unit.value: str(limit)
                for unit in Unit
                if (limit := getattr(limits, unit)) is not None
            }
        return facts

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> SetBudget:
        """Read what `told` gave."""
        anchor = told.get("anchor")
        return cls(
            limits=_read_limits(told["limits"]),
            soft=_read_limits(told["soft"]),
            period=Period(told["period"]),
            anchor=None if anchor is None else datetime.fromisoformat(anchor),
        )


def _read_limits(told: Mapping[str, str]) -> Limits:
    limits: dict[str, Any] = {
        unit: Decimal(said) if unit == Unit.COST else int(said) for unit, said in told.items()
    }
    return Limits(**limits)


def make_budget(
    scope: BudgetScope, scope_id: UUID, wanted: SetBudget, *, by: Actor, now: datetime
) -> UUID:
    """Make a scope's budget; gives its id. Runs that begin from then on count for it.

    Raises:
        InvalidBudget: there is no such scope, it has a budget, or the limits make no sense.
    """
    _check(wanted)
    _check_scope(scope, scope_id)
    anchor = wanted.anchor or _beginning(wanted.period, now)
    fresh = periods.begun(wanted.limits, wanted.period, anchor, now)
    values = budgets.values_of(replace(fresh, soft=wanted.soft))
    row = Budget(id=uuid7(), scope=scope, scope_id=scope_id, **values)
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError:
        raise InvalidBudget(f"this {scope} has a budget already; change that one") from None
    facts = {"scope": scope, "scope_id": str(scope_id), **wanted.told()}
    record(by, "budget.set", f"budget/{row.pk}", facts)
    return row.pk


def change_budget(
    budget_id: UUID,
    wanted: SetBudget,
    *,
    version: int | None = None,
    reason: str = "",
    by: Actor,
    now: datetime,
) -> UUID | None:
    """Set a budget's limits and period, if it is still the version that the caller saw.

    A limit may be set where there was none, and lowered, but not below what is spent and set
    aside; its raises for a time end by that, and those of a limit that stays as it is go on.
    Another period closes the one that is, or its life so far, and ends all of them; as it begins
    with nothing spent, it is only proposed where the tenant lets nobody raise any amount alone,
    and money is limited. Gives the proposal's id then.

    Raises:
        UnknownBudget: this tenant has no such budget.
        BudgetChanged: somebody changed it since.
        InvalidBudget: it makes no sense, is above what is allowed now (raise it then), or below
            what is taken already.
    """
    _check(wanted)
    seen = Budget.objects.filter(pk=budget_id).first()
    if seen is None:
        raise UnknownBudget(f"there is no budget {budget_id}")
    runs = [] if _is_same(seen, wanted) else runs_under(budget_id)
    row, before = _locked(budget_id, version)
    if wanted.period is not Period.NONE and row.scope in {BudgetScope.RUN, BudgetScope.CHILD}:
        raise InvalidBudget("the budget of a run has no periods", "/period")
    is_same = _is_same(row, wanted)
    stay = {unit for unit in Unit if is_same and getattr(wanted.limits, unit) == bar(before, unit)}
    _check_raises_nothing(before, wanted, stay)
    if not is_same and row.cost_limit is not None and budgets.some_need_another():
        return propose_change(row, ProposalKind.PERIOD, wanted.told(), reason=reason, by=by)
    budgets.keep(row, _changed(row, before, wanted, stay, now))
    record(by, "budget.set", f"budget/{budget_id}", wanted.told())
    if not is_same:
        call_upon(row, runs, {"period": wanted.period})
    return None


def carry_out_change(
    budget_id: UUID, wanted: SetBudget, *, by: Actor, now: datetime, confirmed_by: str
) -> None:
    """Give a budget the period and limits that one person proposed and another confirmed."""
    runs = runs_under(budget_id)
    row, before = _locked(budget_id, None)
    budgets.keep(row, _changed(row, before, wanted, set(), now))
    record(by, "budget.set", f"budget/{budget_id}", {**wanted.told(), "confirmed_by": confirmed_by})
    call_upon(row, runs, {"period": wanted.period})


def _locked(budget_id: UUID, version: int | None) -> tuple[Budget, Balance]:
    found = budgets.locked(budget_id, version=version)
    if found is None:
        raise UnknownBudget(f"there is no budget {budget_id}")
    return found


def _is_same(row: Budget, wanted: SetBudget) -> bool:
    """Say whether a budget keeps its period."""
    return wanted.period == row.period and wanted.anchor in {None, row.period_anchor}


def _changed(
    row: Budget, before: Balance, wanted: SetBudget, stay: set[Unit], now: datetime
) -> Balance:
    after = _limited(before, wanted, stay)
    if not _is_same(row, wanted):
        anchor = wanted.anchor or _beginning(wanted.period, now)
        after = replace(_anew(row, wanted, anchor), soft=wanted.soft)
    _check_taken(after)
    return replace(after, alerted=before.alerted & frozenset(reached(after)))


def _limited(before: Balance, wanted: SetBudget, stay: set[Unit]) -> Balance:
    """Set the limits; those that stay as they are keep what was granted for a time."""
    limits: dict[str, Any] = {
        unit: getattr(before.limits if unit in stay else wanted.limits, unit) for unit in Unit
    }
    lapsed: dict[str, Any] = {unit: getattr(before.lapsed, unit) for unit in stay}
    extras = tuple(extra for extra in before.life.extras if extra.unit in stay)
    return replace(
        before,
        limits=Limits(**limits),
        soft=wanted.soft,
        lapsed=Amounts(**lapsed),
        life=replace(before.life, extras=extras),
    )


def _anew(row: Budget, wanted: SetBudget, anchor: datetime | None) -> Balance:
    """Close what was, and begin a first period at that moment: a shorter one than the others."""
    begins = budgets.close(row)
    fresh = periods.begun(wanted.limits, wanted.period, anchor, begins)
    if (span := fresh.life.span) is None:
        return fresh
    return replace(fresh, life=replace(fresh.life, span=replace(span, starts_at=begins)))


def _check_raises_nothing(before: Balance, wanted: SetBudget, stay: set[Unit]) -> None:
    if wanted.period is Period.NONE and before.life.period is not Period.NONE:
        raise InvalidBudget("a budget that has periods keeps having some", "/period")
    for unit in [unit for unit in Unit if unit not in stay]:
        old, new = periods.lasting(before, unit), getattr(wanted.limits, unit)
        if old is not None and (new is None or new > old):
            for_good = "" if old == bar(before, unit) else " for good"
            said = f"{unit} is limited to {old} now{for_good}; a higher limit is a raise"
            raise InvalidBudget(said, f"/limits/{unit}")


def _check_taken(after: Balance) -> None:
    for unit in Unit:
        limit = getattr(after.limits, unit)
        taken = getattr(after.spent, unit) + getattr(after.reserved, unit)
        if limit is not None and limit < taken:
            said = f"{taken} of {unit} is spent or set aside already"
            raise InvalidBudget(said, f"/limits/{unit}")


def _check(wanted: SetBudget) -> None:
    for which, limits in {Bar.HARD: wanted.limits, Bar.SOFT: wanted.soft}.items():
        for unit in Unit:
            limit = getattr(limits, unit)
            if limit is not None and not 0 <= limit <= money.MOST:
                at = f"/{'limits' if which is Bar.HARD else 'soft'}/{unit}"
                raise InvalidBudget(f"a limit is from 0 to {money.MOST:,}", at)
    for unit in Unit:
        soft, hard = getattr(wanted.soft, unit), getattr(wanted.limits, unit)
        if soft is not None and hard is not None and soft > hard:
            raise InvalidBudget("a soft limit above the hard one tells nobody", f"/soft/{unit}")


def _check_scope(scope: BudgetScope, scope_id: UUID) -> None:
    if scope not in MADE:
        raise InvalidBudget(f"a {scope} gets its budget when it begins", "/scope")
    known: dict[BudgetScope, Any] = {
        BudgetScope.TEAM: Team,
        BudgetScope.USER: Principal,
        BudgetScope.AGENT: Agent,
    }
    if scope in known and not known[scope].objects.filter(pk=scope_id).exists():
        raise InvalidBudget(f"there is no {scope} {scope_id}", "/scope_id")
    if scope == BudgetScope.TENANT and scope_id != tenancy.current():
        raise InvalidBudget("this is another tenant's id, or none", "/scope_id")


def _beginning(period: Period, now: datetime) -> datetime | None:
    if period is Period.NONE:
        return None
    day = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if period is Period.WEEK:
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if period is Period.MONTH else day
