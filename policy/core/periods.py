"""Budgets in time: periods that follow each other, and raises that end.

    a reservation ──▶ is it later than the next turn? ─yes─▶ turn: close the period, begin
                      a comparison, no job             │      the one that is now, take back
                                                       │      what was granted for a time
                                                       no ──▶ set aside in the period that is

A reservation belongs to the period in which it was made, and is settled there, also when
that is over: nothing goes from one period into the other.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from policy.core import money
from policy.core.money import Amounts, Balance, Closed, Extra, Life, Limits, Period, Span, Unit

MONTHS: Final = 12
LENGTH: Final = {Period.DAY: timedelta(days=1), Period.WEEK: timedelta(days=7)}


def span_at(period: Period, anchor: datetime, now: datetime) -> Span | None:
    """Give the period that `now` lies in; one of them begins at `anchor`. Both in UTC."""
    if period is Period.NONE:
        return None
    if (length := LENGTH.get(period)) is not None:
        starts = anchor + (now - anchor) // length * length
        return Span(starts_at=starts, ends_at=starts + length)
    count = (now.year - anchor.year) * MONTHS + now.month - anchor.month
    if _months_after(anchor, count) > now:
        count -= 1
    return Span(starts_at=_months_after(anchor, count), ends_at=_months_after(anchor, count + 1))


def _months_after(anchor: datetime, count: int) -> datetime:
    """Give the same day so many months later, or the last one of a month that is shorter."""
    year, month = divmod(anchor.year * MONTHS + anchor.month - 1 + count, MONTHS)
    day = min(anchor.day, calendar.monthrange(year, month + 1)[1])
    return anchor.replace(year=year, month=month + 1, day=day)


def begun(limits: Limits, period: Period, anchor: datetime | None, now: datetime) -> Balance:
    """Give a budget with nothing spent, in the period that `now` lies in."""
    span = None if anchor is None else span_at(period, anchor, now)
    life = Life(period=period, anchor=anchor, span=span)
    return Balance(limits=limits, life=life)


def moment(balances: Iterable[Balance], now: datetime) -> datetime:
    """Give the moment of a reservation: a clock that was set back does not leave a period."""
    spans = (one.life.span for one in balances)
    return max([now, *(span.starts_at for span in spans if span is not None)])


def turned(balance: Balance, now: datetime) -> Balance:
    """Give a budget as of `now`: in the period that is, without the raises that ended."""
    life = balance.life
    if life.turns_at is None or life.turns_at > now:
        return balance
    gone = [extra for extra in life.extras if _has_ended(extra, life, now)]
    left = tuple(extra for extra in life.extras if extra not in gone)
    if life.span is None or life.anchor is None or life.span.ends_at > now:
        return replace(_without(balance, gone), life=replace(life, extras=left))
    old = Closed(span=life.span, balance=replace(balance, life=Life()))
    fresh = Balance(limits=balance.limits, lapsed=balance.lapsed, soft=balance.soft)
    new = replace(
        life,
        span=span_at(life.period, life.anchor, now),
        extras=left,
        closed=(*life.closed, old),
    )
    return replace(_without(fresh, gone), life=new)


def _has_ended(extra: Extra, life: Life, now: datetime) -> bool:
    if extra.until is not None:
        return extra.until <= now
    return life.span is not None and life.span.ends_at <= now


def _without(balance: Balance, gone: Sequence[Extra]) -> Balance:
    """Lower the bar by what ended; the limit stays above what is taken."""
    limits: dict[str, Any] = {}
    lapsed: dict[str, Any] = {}
    for unit in Unit:
        taken = getattr(balance.spent, unit) + getattr(balance.reserved, unit)
        before = money.bar(balance, unit)
        limits[unit], lapsed[unit] = None, type(taken)(0)
        if before is None:
            continue
        ended = sum((extra.amount for extra in gone if extra.unit is unit), Decimal(0))
        limits[unit] = max(before - type(taken)(ended), taken)
        lapsed[unit] = limits[unit] - (before - type(taken)(ended))
    return replace(balance, limits=Limits(**limits), lapsed=Amounts(**lapsed))


def settled(
    balance: Balance, *, reserved: Amounts, actual: Amounts, reserved_at: datetime
) -> Balance:
    """Settle a reservation in the period in which it was made."""
    life = balance.life
    if life.span is None or reserved_at >= life.span.starts_at:
        return money.settle(balance, reserved=reserved, actual=actual)
    late = next(n for n, one in enumerate(life.closed) if one.span.ends_at > reserved_at)
    old = life.closed[late]
    after = money.settle(old.balance, reserved=reserved, actual=actual)
    new = replace(old, balance=replace(after, alerted=old.balance.alerted))
    closed = (*life.closed[:late], new, *life.closed[late + 1 :])
    return replace(balance, life=replace(life, closed=closed))


def lasting(balance: Balance, unit: Unit) -> Any:
    """Give the limit without what was granted for a time, or None."""
    allowed = money.bar(balance, unit)
    extras = (extra.amount for extra in balance.life.extras if extra.unit is unit)
    return None if allowed is None else max(allowed - type(allowed)(sum(extras)), type(allowed)(0))


def raised(balance: Balance, extra: Extra, *, for_good: bool) -> Balance:
    """Add to a limit: for good, until a moment, or to the end of the period.

    Where there is no period its end never comes, so that what is added stays.
    """
    after, life = money.raised(balance, extra.unit, extra.amount), balance.life
    if for_good or (extra.until is None and life.span is None):
        return after
    return replace(after, life=replace(life, extras=(*life.extras, extra)))
