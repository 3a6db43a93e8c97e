"""What a budget will come to if spending goes on as it does."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

SHORTEST: Final = timedelta(minutes=1)
"""Less is no time to tell a rate by; it is taken for this long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """At the rate of the present period: when it is used up, and what its end will show.

    `exhausted_at` is None where there is no limit, nothing is spent, or the period ends before.
    `at_period_end` is None without a period.
    """

    rate_per_hour: Decimal
    exhausted_at: datetime | None
    at_period_end: Decimal | None


def forecast(
    used: Decimal,
    limit: Decimal | None,
    *,
    starts_at: datetime,
    ends_at: datetime | None,
    now: datetime,
) -> Forecast:
    """Draw a straight line through the beginning of the period and now.

    rate = used / (now - starts_at), used = spent + overdraft;
    exhausted_at = now + (limit - used) / rate;  at_period_end = used + rate * (ends_at - now).
    What is only reserved is not counted. A budget without periods begins when it was made.
    """
    elapsed = Decimal(max(now - starts_at, SHORTEST).total_seconds())
    rate = used / elapsed
    exhausted = None
    if limit is not None and used >= limit:
        exhausted = now
    elif limit is not None and rate:
        seconds = (limit - used) / rate
        exhausted = _after(now, seconds, ends_at)
    left = None if ends_at is None else Decimal(max((ends_at - now).total_seconds(), 0))
    return Forecast(
        rate_per_hour=_rounded(rate * 3600),
        exhausted_at=exhausted,
        at_period_end=None if left is None else _rounded(used + rate * left),
    )


def _after(now: datetime, seconds: Decimal, ends_at: datetime | None) -> datetime | None:
    try:
        moment = now + timedelta(seconds=float(seconds))
    except OverflowError:  # later than there are dates
        return None
    return None if ends_at is not None and moment >= ends_at else moment


def _rounded(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("1E-9"))
