"""Amounts of the four things a budget limits, and their arithmetic.

bar     the limit in force: what a reservation is compared with
lapsed  what was granted for a time, is over, and still taken; the bar is the limit without it
limit   bar and lapsed: `spent + reserved <= limit`, always
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final


class Unit(StrEnum):
    """What a budget counts. Cost is in US dollars; the others are plain counts."""

    COST = "cost"
    TOKENS = "tokens"
    MODEL_CALLS = "model_calls"
    TOOL_CALLS = "tool_calls"


MOST: Final = Decimal(10) ** 10
"""The most that a limit or a raise may be: the columns hold no more."""

PERCENTS: Final = (50, 80, 100)
"""How much of a limit is used up when people are told."""


class Bar(StrEnum):
    """Which of two limits: the soft one only tells people, the hard one stops calls."""

    SOFT = "soft"
    HARD = "hard"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Alert:
    """So many percent of a limit are used up; 100 also says that a call did not fit any more."""

    unit: Unit
    bar: Bar
    percent: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """So much of each unit; never less than nothing."""

    cost: Decimal = Decimal(0)
    tokens: int = 0
    model_calls: int = 0
    tool_calls: int = 0

    def __post_init__(self) -> None:
        if self.cost < 0 or self.tokens < 0 or self.model_calls < 0 or self.tool_calls < 0:
            raise ValueError("an amount is never negative")

    def __add__(self, other: Amounts) -> Amounts:
        return Amounts(
            cost=self.cost + other.cost,
            tokens=self.tokens + other.tokens,
            model_calls=self.model_calls + other.model_calls,
            tool_calls=self.tool_calls + other.tool_calls,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The most a budget may spend of each unit; None leaves a unit unlimited."""

    cost: Decimal | None = None
    tokens: int | None = None
    model_calls: int | None = None
    tool_calls: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Extra:
    """What a raise for a time added to a limit: until a moment, or None: to the period's end."""

    unit: Unit
    amount: Decimal
    until: datetime | None = None


class Period(StrEnum):
    """How long a budget's limits hold before they begin anew."""

    NONE = "none"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A period from its first moment to the first one after it."""

    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """A period that is over, as it stands: what was reserved in it may still be settled."""

    span: Span
    balance: Balance


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """What time does to a budget. Without a period its life is one."""

    period: Period = Period.NONE
    anchor: datetime | None = None
    span: Span | None = None
    extras: tuple[Extra, ...] = ()
    closed: tuple[Closed, ...] = ()

    @property
    def turns_at(self) -> datetime | None:
        """Give the moment at which something of it ends."""
        ends = [extra.until for extra in self.extras if extra.until is not None]
        if self.span is not None:
            ends.append(self.span.ends_at)
        return min(ends, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """A budget at one moment: `spent + reserved <= limit` in every limited unit."""

    limits: Limits
    spent: Amounts = Amounts()
    reserved: Amounts = Amounts()
    overdraft: Amounts = Amounts()
    lapsed: Amounts = Amounts()
    soft: Limits = Limits()
    alerted: frozenset[Alert] = frozenset()
    life: Life = Life()


def lacking(balance: Balance, wanted: Amounts) -> Unit | None:
    """Name the first unit in which `wanted` does not fit any more, or None if all fit."""
    for unit in Unit:
        limit = bar(balance, unit)
        taken = getattr(balance.spent, unit) + getattr(balance.reserved, unit)
        asked = getattr(wanted, unit)
        if limit is not None and asked and taken + asked > limit:
            return unit
    return None


def bar(balance: Balance, unit: Unit) -> Any:
    """Give the limit in force, or None."""
    limit = getattr(balance.limits, unit)
    return None if limit is None else limit - getattr(balance.lapsed, unit)


def lacks_for_good(balance: Balance, wanted: Amounts) -> Unit | None:
    """Name the first unit in which `wanted` would not fit even if calls under way cost nothing.

    A call under way is counted as a call whatever comes of it; only its money and tokens may
    come back.
    """
    back = replace(balance.reserved, cost=Decimal(0), tokens=0)
    return lacking(replace(balance, reserved=back), wanted)


def lacks_only_for_now(balances: Iterable[Balance], wanted: Amounts) -> bool:
    """Say whether `wanted` would fit everywhere if calls under way cost nothing."""
    return all(lacks_for_good(balance, wanted) is None for balance in balances)


def reserve(balance: Balance, wanted: Amounts) -> Balance | Unit:
    """Set `wanted` aside, or name the unit that does not allow it (nothing is set aside then)."""
    if (unit := lacking(balance, wanted)) is not None:
        return unit
    return replace(balance, reserved=balance.reserved + wanted)


def refused(balance: Balance, wanted: Amounts) -> Balance:
    """Note that people are told of a call that does not fit; one that may fit soon tells nobody."""
    if (unit := lacks_for_good(balance, wanted)) is None:
        return balance
    told = Alert(unit=unit, bar=Bar.HARD, percent=100)
    return replace(balance, alerted=balance.alerted | {told})


def settle(balance: Balance, *, reserved: Amounts, actual: Amounts) -> Balance:
    """Give a reservation back and book what was really spent.

    Where a provider charged more than its worst case, what no longer fits under
    the limit is booked as overdraft, so that the limit itself stays true.
    """
    spent: dict[str, Decimal | int] = {}
    left: dict[str, Decimal | int] = {}
    over: dict[str, Decimal | int] = {}
    for unit in (f.name for f in fields(Amounts)):
        held = getattr(balance.reserved, unit) - getattr(reserved, unit)
        booked = getattr(balance.spent, unit)
        limit = getattr(balance.limits, unit)
        asked = getattr(actual, unit)
        room = asked if limit is None else max(limit - booked - held, type(asked)(0))
        left[unit] = held
        spent[unit] = booked + min(asked, room)
        over[unit] = getattr(balance.overdraft, unit) + asked - min(asked, room)
    after = replace(
        balance,
        spent=Amounts(**spent),  # type: ignore[arg-type]
        reserved=Amounts(**left),  # type: ignore[arg-type]
        overdraft=Amounts(**over),  # type: ignore[arg-type]
    )
    return replace(fitted(after), alerted=balance.alerted | frozenset(reached(after)))


def fitted(balance: Balance) -> Balance:
    """Give back what lapsed and is not taken any more: the limit comes down to what is."""
    if balance.lapsed == Amounts():
        return balance
    limits: dict[str, Any] = {}
    lapsed: dict[str, Any] = {}
    for unit in Unit:
        limits[unit], lapsed[unit] = getattr(balance.limits, unit), getattr(balance.lapsed, unit)
        if (allowed := bar(balance, unit)) is not None:
            taken = getattr(balance.spent, unit) + getattr(balance.reserved, unit)
            lapsed[unit] = min(lapsed[unit], max(taken - allowed, type(taken)(0)))
            limits[unit] = allowed + lapsed[unit]
    return replace(balance, limits=Limits(**limits), lapsed=Amounts(**lapsed))


def raised(balance: Balance, unit: Unit, amount: Decimal) -> Balance:
    """Add to a limit. What is not used up any more for that tells people again when it is."""
    before = getattr(balance.limits, unit)
    limits = replace(balance.limits, **{unit: type(before)(before + amount)})
    after = fitted(replace(balance, limits=limits))
    return replace(after, alerted=balance.alerted & frozenset(reached(after)))


def reached(balance: Balance) -> Iterator[Alert]:
    """List what people are told of what is booked: what was spent, and what went over."""
    for unit in Unit:
        used = getattr(balance.spent, unit) + getattr(balance.overdraft, unit)
        limits = {Bar.SOFT: getattr(balance.soft, unit), Bar.HARD: bar(balance, unit)}
        for which, limit in limits.items():
            if limit is None or not used:
                continue
            for percent in PERCENTS:
                if used * 100 >= limit * percent:
                    yield Alert(unit=unit, bar=which, percent=percent)
