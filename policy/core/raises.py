"""What one person may raise budgets by alone: all they raised lately counts together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Alone:
    """What a tenant lets one person grant: so many US dollars in so much time. None: any amount."""

    up_to: Decimal | None = None
    within: timedelta = timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """US dollars that somebody granted without a second person, and when."""

    amount: Decimal
    at: datetime


def left(alone: Alone, granted: Iterable[Granted], now: datetime) -> Decimal | None:
    """Give what somebody who granted this may still grant alone; None: any amount.

    A clock that was set back does not forget: what is later than now counts, too.
    """
    if alone.up_to is None:
        return None
    since = now - alone.within
    used = sum((one.amount for one in granted if one.at > since), Decimal(0))
    return max(alone.up_to - used, Decimal(0))


def needs_another(amount: Decimal, alone: Alone, granted: Iterable[Granted], now: datetime) -> bool:
    """Say whether a raise is more than what its maker has left to grant alone."""
    may = left(alone, granted, now)
    return may is not None and amount > may
