"""Budgets that somebody changes: locked, brought to now, and kept as the arithmetic says."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection

from policy import tenancy
from policy.core import raises
from policy.core.json import JsonObject
from policy.core.money import Balance, Unit
from policy.errors import BudgetChanged
from policy.models import Budget
from policy.queries.budgets import BITS, alone, balance_of, granted_alone


def locked(budget_id: UUID, *, version: int | None = None) -> tuple[Budget, Balance] | None:
    """Lock a budget as it stands now, in the period that is; None where there is no such.

    Runs under it that somebody wants locked too must be locked before (lock order). That its
    time has come, and its period turns, is no change by somebody.

    Raises:
        BudgetChanged: it is not the version that was named.
    """
    row = Budget.objects.select_for_update(no_key=True).filter(pk=budget_id).first()
    if row is None:
        return None
    if version is not None and version != row.version:
        raise BudgetChanged("somebody changed this budget since you read it; read it again")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT policy_turn(%s, ARRAY[%s]::uuid[], clock_timestamp())",
            [row.tenant_id, budget_id],
        )
    row = Budget.objects.get(pk=budget_id)
    return row, balance_of(row)


def left_alone(identity: str, now: datetime) -> Decimal | None:
    """Give by how many US dollars somebody may still raise budgets alone; None: any amount."""
    may = alone()
    return raises.left(may, granted_alone(identity, now - may.within), now)


def some_need_another() -> bool:
    """Say whether there are raises that one person of the scope's tenant may not make alone."""
    return alone().up_to is not None


def needs_another(amount: Decimal, identity: str, now: datetime) -> bool:
    """Say whether it takes a second person to grant so many US dollars.

    Of two that one person grants at once the second waits here until the first is committed,
    and counts it.
    """
    may = alone()
    if may.up_to is None:
        return False
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))",
            [f"policy_raise {tenancy.current()} {identity}"],
        )
    return raises.needs_another(amount, may, granted_alone(identity, now - may.within), now)


def keep(row: Budget, balance: Balance) -> None:
    """Store a locked budget's new limits, raises for a time, period and alerts, as a new version.

    What is spent and set aside is not written: only calls move that.
    """
    values = values_of(balance)
    Budget.objects.filter(pk=row.pk).update(version=row.version + 1, **values)


def close(row: Budget) -> datetime:
    """Close a locked budget's period, or its life so far, before its time: nothing is spent then.

    What is set aside stays with what was closed, and is settled there. Gives the moment at
    which the next period has to begin.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT policy_close_now(%s)", [row.pk])
        (at,) = cursor.fetchone()
    closed_at: datetime = at
    return closed_at


def values_of(balance: Balance) -> dict[str, Any]:
    """Give the columns of the limits, the period, the raises for a time and the alerts."""
    return {**_limits_of(balance), **_life_of(balance)}


def _limits_of(balance: Balance) -> dict[str, Any]:
    return {
        f"{unit}_{name}": getattr(amounts, unit)
        for name, amounts in {
            "limit": balance.limits,
            "soft": balance.soft,
            "lapsed": balance.lapsed,
        }.items()
        for unit in Unit
    }


def _life_of(balance: Balance) -> dict[str, Any]:
    life = balance.life
    return {
        "period": life.period,
        "period_anchor": life.anchor,
        "period_starts_at": None if life.span is None else life.span.starts_at,
        "period_ends_at": None if life.span is None else life.span.ends_at,
        "turns_at": life.turns_at,
        "extras": [_raw(extra) for extra in life.extras],
        "alerted": sum(bit for bit, alert in BITS.items() if alert in balance.alerted),
    }


def _raw(extra: Any) -> JsonObject:
    raw: JsonObject = {"unit": extra.unit, "amount": str(extra.amount)}
    return raw if extra.until is None else {**raw, "until": extra.until.isoformat()}
