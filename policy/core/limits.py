"""Rate limits as arithmetic: how much may go out, and how long to wait for more. Pure.

The generic cell rate algorithm (ITU-T I.371; a leaky bucket as one number): a bucket keeps
the moment at which it would be full again. Taking moves that moment on; what would move it
further than the burst allows has to wait. `policy.gates.limiter` does the same sum in Redis.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Final

DIMENSIONS: Final = (
    "user", "agent", "tool", "provider", "model", "risk", "environment", "dependency",
)  # fmt: skip
"""By what a limit may count apart, beside the tenant, which every limit is of.

A dependency is what has a breaker: a tool of code, a tool server, a model endpoint.
"""


class LimitUnit(StrEnum):
    """What a limit counts."""

    CALLS = "calls"
    TOKENS = "tokens"
    IN_FLIGHT = "in_flight"
    """Calls that were sent and have not come back: how many at once, whatever the time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """One count: `amount` per `seconds`, of which `burst` may go at once; `weight` is wanted."""

    key: str
    amount: float
    seconds: float
    burst: float
    weight: float = 1.0

    @property
    def interval(self) -> float:
        """Give the seconds in which one more becomes free."""
        return self.seconds / self.amount

    @property
    def asked(self) -> float:
        """Give what is taken: never more than a full bucket holds, which could never pass."""
        return min(self.weight, self.burst)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bulkhead:
    """One count of calls in flight: at most so many at once."""

    key: str
    most: int


SOONEST: Final = 0.5
LATEST: Final = 15.0


def patience(youngest: float) -> float:
    """Say how long to wait where a bulkhead is full and its youngest call is so many seconds old.

    Half that: whoever waits for a dependency that answers comes back soon, and whoever waits for
    one that hangs comes back seldom.
    """
    return min(max(youngest / 2, SOONEST), LATEST)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A limit of a tenant.

    `per` names what is counted apart: `("user", "tool")` gives each pair of them a bucket of
    its own. `where` narrows it to calls whose dimensions match patterns. A limit is not about
    calls that lack a dimension it names: one per tool is not about models.
    """

    id: str
    name: str
    unit: LimitUnit
    amount: int
    seconds: float
    burst: int
    per: tuple[str, ...] = ()
    where: Mapping[str, str] = field(default_factory=dict)

    def bucket(self, call: Mapping[str, str], tokens: int) -> Bucket | None:
        """Give the bucket that a call takes from; None where the limit is not about it."""
        key = self.key(call)
        if key is None or self.unit is LimitUnit.IN_FLIGHT:
            return None
        if self.unit is LimitUnit.TOKENS and tokens <= 0:
            return None
        return Bucket(
            key=key,
            amount=self.amount,
            seconds=self.seconds,
            burst=self.burst,
            weight=tokens if self.unit is LimitUnit.TOKENS else 1,
        )

    def bulkhead(self, call: Mapping[str, str]) -> Bulkhead | None:
        """Give the bulkhead that a call has to be behind; None where the limit is none of it."""
        key = self.key(call) if self.unit is LimitUnit.IN_FLIGHT else None
        return None if key is None else Bulkhead(key=key, most=self.amount)

    def key(self, call: Mapping[str, str]) -> str | None:
        """Name the count that a call belongs to; None where the limit is not about it."""
        for dimension, pattern in self.where.items():
            if dimension not in call or not fnmatchcase(call[dimension], pattern):
                return None
        if any(dimension not in call for dimension in self.per):
            return None
        parts = [f"{dimension}={call[dimension]}" for dimension in self.per]
        return "|".join([self.id, *parts])


@dataclass(frozen=True, slots=True)
class Taken:
    """It may go.

    `remaining` is what the scarcest bucket still holds, `resets` the seconds until it is full.
    """

    remaining: float
    resets: float


@dataclass(frozen=True, slots=True)
class Scarce:
    """It must wait for `seconds`; nothing was taken. `key` names the bucket that lacks most."""

    seconds: float
    key: str


def take(full_at: Mapping[str, float], buckets: Iterable[Bucket], now: float) -> Taken | Scarce:
    """Say whether all buckets have what is asked; nothing is changed (see `moved`).

    `full_at` has the moment each bucket is full again, in seconds on the clock of `now`.
    """
    wait, lacking = 0.0, ""
    scarcest, resets = float("inf"), 0.0
    for bucket in buckets:
        after = moved(full_at.get(bucket.key), bucket, now)
        late = after - now - bucket.burst * bucket.interval
        if late > max(wait, 1e-9):
            wait, lacking = late, bucket.key
        left = max((bucket.burst * bucket.interval - (after - now)) / bucket.interval, 0)
        if left < scarcest:
            scarcest, resets = left, after - now
    return Scarce(wait, lacking) if lacking else Taken(scarcest, resets)


def moved(full_at: float | None, bucket: Bucket, now: float) -> float:
    """Give the moment at which a bucket is full again after what is asked was taken."""
    return max(full_at if full_at is not None else now, now) + bucket.asked * bucket.interval
