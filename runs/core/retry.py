"""Shall a failed attempt be made again, and when? One rule for each class of error.

Exponential backoff with jitter. The jitter comes from the effect's key, not from dice,
so that the decision is a pure function; different effects still spread out.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from policy.core.outcomes import ErrorClass
from policy.core.retry import NEVER, RetryPolicy

RETRYABLE: Final = frozenset(
    {ErrorClass.RATE_LIMITED, ErrorClass.TIMEOUT, ErrorClass.TRANSIENT_DEPENDENCY}
)
"""What may pass by itself. Denials, exhausted budgets and plain mistakes never do."""

LONGEST_WISH: Final = 24 * 3600.0
"""Seconds that another side may ask for; more is taken as this."""


@dataclass(frozen=True, slots=True)
class RetryAt:
    """Make another attempt, not before `when`."""

    when: datetime


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Make no other attempt."""

    reason: str


RetryDecision = RetryAt | GiveUp


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """An attempt that failed: which one of which effect, how, and the other side's own wish."""

    key: str
    number: int
    error_class: ErrorClass
    retry_after: float | None = None


def decide(
    policy: RetryPolicy, failed: Attempt, *, now: datetime, deadline: datetime | None
) -> RetryDecision:
    """Decide after `failed.number` attempts, counted from 1."""
    never = NEVER | policy.not_for
    if failed.error_class in never or failed.error_class not in RETRYABLE | policy.also:
        return GiveUp(f"{failed.error_class} is not retried")
    if failed.number >= policy.max_attempts:
        return GiveUp(f"{failed.number} attempts were made")
    wait = max(_backoff(policy, failed), _wished(failed))
    if deadline is not None and now + wait >= deadline:
        return GiveUp("the next attempt would be after the deadline")
    return RetryAt(now + wait)


def _wished(failed: Attempt) -> timedelta:
    """Take the other side's wish as far as it makes sense; NaN is none."""
    wish = failed.retry_after or 0.0
    return timedelta(seconds=min(wish, LONGEST_WISH)) if wish > 0 else timedelta(0)


def _backoff(policy: RetryPolicy, failed: Attempt) -> timedelta:
    doublings = min(failed.number - 1, 30)
    seconds = min(policy.base.total_seconds() * 2.0**doublings, policy.cap.total_seconds())
    return timedelta(seconds=seconds * (0.5 + 0.5 * _share(f"{failed.key}#{failed.number}")))


def _share(text: str) -> float:
    """Spread texts evenly over 0 to 1."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") / 2**48
