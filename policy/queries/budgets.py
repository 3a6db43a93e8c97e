"""Budgets as people and programs read them: as of now, in the period that is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils.dateparse import parse_datetime

from policy import tenancy
from policy.core import money, periods
from policy.core.forecast import Forecast, forecast
from policy.core.json import JsonObject
from policy.core.money import (
    Alert,
    Amounts,
    Balance,
    Bar,
    Extra,
    Life,
    Limits,
    Period,
    Span,
    Unit,
)
from policy.core.raises import Alone, Granted
from policy.models import (
    AuditEvent,
    Budget,
    BudgetPeriod,
    BudgetRaise,
    ProposalState,
    RaiseProposal,
    Tenant,
)
from policy.models.budgets import Balances
from policy.queries.pages import Page, Position, page_of

BITS: Final = {
    1 << (6 * u + 3 * b + p): Alert(unit=unit, bar=bar, percent=percent)
    for u, unit in enumerate(Unit)
    for b, bar in enumerate(Bar)
    for p, percent in enumerate(money.PERCENTS)
}
"""Which bit of the column stands for which alert; `policy_reached` sets them so."""

SHOWN: Final = 50
"""How many alerts, periods and raises of a budget are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitBalance:
    """One unit of a budget. A limit of None is no limit; then nothing is `left` to count."""

    unit: Unit
    limit: Decimal | None
    soft: Decimal | None = None
    spent: Decimal
    reserved: Decimal
    overdraft: Decimal

    @property
    def left(self) -> Decimal | None:
        """Give what may still be reserved."""
        if self.limit is None:
            return None
        return max(self.limit - self.spent - self.reserved, Decimal(0))


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitBalances:
    """The balances of all units, each to be had by the unit's name."""

    units: tuple[UnitBalance, ...]

    def __getattr__(self, name: str) -> UnitBalance:
        """Give the balance of a unit by its name."""
        for balance in self.units:
            if balance.unit == name:
                return balance
        raise AttributeError(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetView(UnitBalances):
    """What one scope may spend in the period that is, has spent, and has set aside."""

    id: UUID
    scope: str
    scope_id: UUID
    version: int
    created_at: datetime
    period: str
    period_starts_at: datetime | None
    period_ends_at: datetime | None
    seen_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RaiseView:
    """A limit that somebody raised: for good, until a date, or for one period."""

    unit: str
    amount: Decimal
    kind: str
    until: datetime | None
    raised_by: str
    confirmed_by: str
    reason: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalView:
    """A raise that waits, or waited, for a second person."""

    id: UUID
    state: str
    unit: str
    amount: Decimal
    kind: str
    until: datetime | None
    change: JsonObject
    reason: str
    proposed_by: str
    decided_by: str
    decided_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodView(UnitBalances):
    """A period that is over, and what was spent in it."""

    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertView:
    """That so many percent of a limit were used up, and whose booking it was."""

    at: datetime
    unit: str
    bar: str
    percent: int
    limit: Decimal
    used: Decimal
    run_id: UUID | None


def forecasts(view: BudgetView) -> dict[Unit, Forecast]:
    """Say for each unit of a budget what it will come to, as of when it was read."""
    return {
        unit.unit: forecast(
            unit.spent + unit.overdraft,
            unit.limit,
            starts_at=view.period_starts_at or view.created_at,
            ends_at=view.period_ends_at,
            now=view.seen_at,
        )
        for unit in view.units
    }


def budgets(
    *, scope: str = "", scope_id: UUID | None = None, position: Position | None, limit: int
) -> Page[BudgetView]:
    """List the scope's budgets, newest first."""
    rows = _rows()
    rows = rows.filter(scope=scope) if scope else rows
    rows = rows.filter(scope_id=scope_id) if scope_id else rows
    return page_of(rows, budget_view, position=position, limit=limit)


def budget(budget_id: UUID) -> BudgetView | None:
    """Read one budget of the scope's tenant; None where it has no such."""
    row = _rows().filter(pk=budget_id).first()
    return None if row is None else budget_view(row)


def budgets_of(ids: Iterable[UUID]) -> list[BudgetView]:
    """Read several budgets, the narrowest first: in the order of their ids in a run's row."""
    order = {budget_id: place for place, budget_id in enumerate(ids)}
    rows = sorted(_rows().filter(pk__in=list(order)), key=lambda row: order[row.pk])
    return [budget_view(row) for row in rows]


def alone() -> Alone:
    """Give what one person of the scope's tenant may raise budgets by without another."""
    rows = Tenant.objects.filter(id__in=[tenancy.current()])
    up_to, hours = rows.values_list("raise_alone_up_to", "raise_alone_hours").get()
    return Alone(up_to=up_to, within=timedelta(hours=hours))


def granted_alone(identity: str, since: datetime) -> list[Granted]:
    """List what somebody granted since then without a second person, of every budget."""
    rows = BudgetRaise.objects.filter(
        raised_by_id=identity, created_at__gt=since, unit=Unit.COST, confirmed_by=""
    )
    return [Granted(amount=row.amount, at=row.created_at) for row in rows]


def raises_of(budget_id: UUID) -> list[RaiseView]:
    """List who raised a budget, the newest first."""
    rows = BudgetRaise.objects.filter(budget_id=budget_id).order_by("-created_at", "-id")
    return [_view(RaiseView, row) for row in rows]


def proposals_of(budget_id: UUID) -> list[ProposalView]:
    """List the raises that wait for a second person, and then those decided, newest first."""
    rows = RaiseProposal.objects.filter(budget_id=budget_id).order_by("-created_at", "-id")
    found = [_view(ProposalView, row) for row in rows[:SHOWN]]
    return sorted(found, key=lambda proposal: proposal.state != ProposalState.OPEN)


def periods_of(budget_id: UUID) -> list[PeriodView]:
    """List a budget's periods that are over, the newest first."""
    rows = BudgetPeriod.objects.filter(budget_id=budget_id).order_by("-ends_at")[:SHOWN]
    return [
        PeriodView(starts_at=row.starts_at, ends_at=row.ends_at, units=_units(_balance(row)))
        for row in rows
    ]


def alerts_of(budget_id: UUID) -> list[AlertView]:
    """List what people were told of a budget, the newest first."""
    rows = AuditEvent.objects.filter(subject=f"budget/{budget_id}", action="budget.alerted")
    return [_alert(row.at, row.detail) for row in rows.order_by("-id")[:SHOWN]]


def _alert(at: datetime, told: Any) -> AlertView:
    return AlertView(
        at=at,
        unit=told["unit"],
        bar=told["bar"],
        percent=told["percent"],
        limit=Decimal(told["limit"]),
        used=Decimal(told["used"]),
        run_id=UUID(told["run"]) if told["run"] else None,
    )


def budget_view(row: Any) -> BudgetView:
    """Read a row as of the moment at which it was read."""
    balance = periods.turned(balance_of(row), row.seen_at)
    span = balance.life.span
    return BudgetView(
        id=row.id,
        scope=row.scope,
        scope_id=row.scope_id,
        version=row.version,
        created_at=row.created_at,
        period=row.period,
        period_starts_at=None if span is None else span.starts_at,
        period_ends_at=None if span is None else span.ends_at,
        seen_at=row.seen_at,
        units=_units(balance),
    )


def balance_of(row: Budget) -> Balance:
    """Give a row as the value that the arithmetic of budgets is about, as it stands."""
    span = None
    if row.period_starts_at is not None and row.period_ends_at is not None:
        span = Span(starts_at=row.period_starts_at, ends_at=row.period_ends_at)
    life = Life(
        period=Period(row.period),
        anchor=row.period_anchor,
        span=span,
        extras=tuple(_extra(raw) for raw in row.extras),
    )
    return replace(
        _balance(row),
        lapsed=_amounts(row, "lapsed"),
        soft=Limits(**{unit: getattr(row, f"{unit}_soft") for unit in Unit}),
        alerted=frozenset(alert for bit, alert in BITS.items() if row.alerted & bit),
        life=life,
    )


def _rows() -> QuerySet[Any]:
    return Budget.objects.annotate(seen_at=Now())


def _extra(raw: dict[str, Any]) -> Extra:
    until = raw.get("until")
    return Extra(
        unit=Unit(raw["unit"]),
        amount=Decimal(raw["amount"]),
        until=parse_datetime(until) if until else None,
    )


def _balance(row: Balances) -> Balance:
    return Balance(
        limits=Limits(**{unit: getattr(row, f"{unit}_limit") for unit in Unit}),
        spent=_amounts(row, "spent"),
        reserved=_amounts(row, "reserved"),
        overdraft=_amounts(row, "overdraft"),
    )


def _amounts(row: Balances, what: str) -> Amounts:
    values: dict[str, Any] = {unit: getattr(row, f"{unit}_{what}") for unit in Unit}
    return Amounts(**values)


def _units(balance: Balance) -> tuple[UnitBalance, ...]:
    return tuple(
        UnitBalance(
            unit=unit,
            limit=_decimal(money.bar(balance, unit)),
            soft=_decimal(getattr(balance.soft, unit)),
            spent=Decimal(getattr(balance.spent, unit)),
            reserved=Decimal(getattr(balance.reserved, unit)),
            overdraft=Decimal(getattr(balance.overdraft, unit)),
        )
        for unit in Unit
    )


def _decimal(value: Decimal | int | None) -> Decimal | None:
    return None if value is None else Decimal(value)


def _view(view: Any, row: Any) -> Any:
    return view(**{field.name: getattr(row, field.name) for field in fields(view)})
