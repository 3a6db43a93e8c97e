"""A call at the gate: what is asked, and what is answered. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from policy.core.limits import Bucket, Bulkhead, Limit
from policy.core.outcomes import ErrorClass, Failed, Outcome

UNWELL: Final = frozenset({ErrorClass.TRANSIENT_DEPENDENCY, ErrorClass.TIMEOUT})
"""Failures that say something of the dependency; the others say something of the call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A call about to be sent: to what, with which dimensions, and how much of it.

    `lasts` bounds the call, in seconds; `tokens` is its worst case.
    """

    tenant_id: str
    dependency: str
    facts: Mapping[str, str]
    lasts: float
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Cleared:
    """It may be sent. Say with `Gate.back` what became of it, also where it was not sent."""

    outgoing: Outgoing
    probe: bool = False
    tokens_from: tuple[Bucket, ...] = ()
    behind: tuple[Bulkhead, ...] = ()
    ticket: str = ""


@dataclass(frozen=True, slots=True)
class Barred:
    """It has to wait, for that many seconds at least."""

    reason: Literal["breaker", "rate_limit"]
    seconds: float
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRules:
    """A tenant's limits, and the breakers that somebody holds open or closed."""

    limits: tuple[Limit, ...] = ()
    held_open: frozenset[str] = field(default_factory=frozenset)
    held_closed: frozenset[str] = field(default_factory=frozenset)


def is_well(outcome: Outcome) -> bool:
    """Say whether the dependency answered; that it answered no is an answer."""
    return not (isinstance(outcome, Failed) and outcome.error_class in UNWELL)
