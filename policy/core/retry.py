"""How patiently a failed call is made again: what a node, a tool or a model may declare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Self

from policy.core.json import Json, JsonObject
from policy.core.outcomes import ErrorClass
from policy.errors import InvalidRetry

NEVER: Final = frozenset(
    {
        ErrorClass.POLICY_DENIED,
        ErrorClass.BUDGET_EXCEEDED,
        ErrorClass.HUMAN_REQUIRED,
        ErrorClass.CANCELLATION,
        ErrorClass.LEASE_LOST,
        ErrorClass.NONDETERMINISM,
    }
)
"""What no declaration makes retryable: asking again would not change the answer."""

LONGEST: Final = 24 * 3600
"""Seconds between two attempts that an operator may declare."""

FIELDS: Final = ("max_attempts", "base", "cap", "also", "not_for")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often in all, how patiently, and after which failures.

    The first wait is about `base`, each doubles, none is longer than `cap`. Limits, timeouts
    and passing troubles of a dependency are tried again; so is `also`, and `not_for` is not.

    Raises:
        InvalidRetry: the numbers make no sense.
    """

    max_attempts: int = 4
    base: timedelta = timedelta(seconds=1)
    cap: timedelta = timedelta(minutes=2)
    also: frozenset[ErrorClass] = frozenset()
    not_for: frozenset[ErrorClass] = frozenset()

    def __post_init__(self) -> None:
        """Check the numbers."""
        if self.max_attempts < 1:
            raise InvalidRetry(f"max_attempts is 1 or more, not {self.max_attempts}")
        if not timedelta(0) < self.base <= self.cap:
            raise InvalidRetry(f"base ({self.base}) is above 0, and cap ({self.cap}) no less")

    def to_json(self) -> JsonObject:
        """Write it down; times are in seconds."""
        return {
            "max_attempts": self.max_attempts,
            "base": self.base.total_seconds(),
            "cap": self.cap.total_seconds(),
            "also": sorted(self.also),
            "not_for": sorted(self.not_for),
        }

    @classmethod
    def of(cls, raw: Json) -> Self:
        """Read it as an operator declares it; what is left out is as by default.

        Raises:
            InvalidRetry: it is no object, or a field or value is none that there is.
        """
        if not isinstance(raw, Mapping):
            raise InvalidRetry(f"give an object of {', '.join(FIELDS)}")
        if unknown := sorted(raw.keys() - set(FIELDS)):
            raise InvalidRetry(f"{unknown[0]!r} is none of {', '.join(FIELDS)}")
        attempts = raw.get("max_attempts", 4)
        if not isinstance(attempts, int) or isinstance(attempts, bool):
            raise InvalidRetry(f"max_attempts is a whole number, not {attempts!r}")
        return cls(
            max_attempts=attempts,
            base=_seconds("base", raw.get("base", 1)),
            cap=_seconds("cap", raw.get("cap", 120)),
            also=_classes("also", raw.get("also", [])),
            not_for=_classes("not_for", raw.get("not_for", [])),
        )


def _seconds(name: str, value: Any) -> timedelta:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= LONGEST:
        raise InvalidRetry(
            f"{name} is a number of seconds above 0, not {value!r}, and at most {LONGEST}"
        )
    return timedelta(seconds=value)


def _classes(name: str, value: Any) -> frozenset[ErrorClass]:
    known = [one.value for one in ErrorClass if one not in NEVER]
    if not isinstance(value, list) or not set(map(str, value)) <= set(known):
        raise InvalidRetry(f"{name} is a list of {', '.join(known)}, not {value!r}")
    return frozenset(ErrorClass(one) for one in value)
