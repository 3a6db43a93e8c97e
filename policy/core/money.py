"""Amounts of the four things a budget limits, and their arithmetic."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from enum import StrEnum


class Unit(StrEnum):
    """What a budget counts. Cost is in US dollars; the others are plain counts."""

    COST = "cost"
    TOKENS = "tokens"
    MODEL_CALLS = "model_calls"
    TOOL_CALLS = "tool_calls"


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
class Balance:
    """A budget at one moment: `spent + reserved <= limit` in every limited unit."""

    limits: Limits
    spent: Amounts = Amounts()
    reserved: Amounts = Amounts()
    overdraft: Amounts = Amounts()


def lacking(balance: Balance, wanted: Amounts) -> Unit | None:
    """Name the first unit in which `wanted` does not fit any more, or None if all fit."""
    for unit in Unit:
        limit = getattr(balance.limits, unit)
        taken = getattr(balance.spent, unit) + getattr(balance.reserved, unit)
        asked = getattr(wanted, unit)
        if limit is not None and asked and taken + asked > limit:
            return unit
    return None


def lacks_only_for_now(balances: Iterable[Balance], wanted: Amounts) -> bool:
    """Say whether `wanted` would fit everywhere if calls under way cost nothing.

    A call under way is counted as a call whatever comes of it; only its money and tokens may
    come back.
    """
    return all(lacking(_given_back(balance), wanted) is None for balance in balances)


def _given_back(balance: Balance) -> Balance:
    return replace(balance, reserved=replace(balance.reserved, cost=Decimal(0), tokens=0))


def reserve(balance: Balance, wanted: Amounts) -> Balance | Unit:
    """Set `wanted` aside, or name the unit that does not allow it (nothing is set aside then)."""
    if (unit := lacking(balance, wanted)) is not None:
        return unit
    return Balance(
        limits=balance.limits,
        spent=balance.spent,
        reserved=balance.reserved + wanted,
        overdraft=balance.overdraft,
    )


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
    return Balance(
        limits=balance.limits,
        spent=Amounts(**spent),  # type: ignore[arg-type]
        reserved=Amounts(**left),  # type: ignore[arg-type]
        overdraft=Amounts(**over),  # type: ignore[arg-type]
    )
