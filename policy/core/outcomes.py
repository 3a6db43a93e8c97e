"""What comes back from a governed call, and the classes of failure.

The classes are the product's one vocabulary of errors: the engine's retry rule,
the API's problems and the operator's charts all read them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from policy.core.json import Json


class ErrorClass(StrEnum):
    """Why something failed; each has one retry rule (`runs.core.retry`)."""

    VALIDATION_ERROR = "validation_error"
    POLICY_DENIED = "policy_denied"
    AUTH_ERROR = "auth_error"
    RATE_LIMITED = "rate_limited"
    TIMEOUT = "timeout"
    TRANSIENT_DEPENDENCY = "transient_dependency"
    PERMANENT_DEPENDENCY = "permanent_dependency"
    BUDGET_EXCEEDED = "budget_exceeded"
    HUMAN_REQUIRED = "human_required"
    CANCELLATION = "cancellation"
    OUTCOME_UNKNOWN = "outcome_unknown"
    LEASE_LOST = "lease_lost"
    NONDETERMINISM = "nondeterminism"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a call consumed: tokens, and money in US dollars under a price version."""

    input_tokens: int = 0
    output_tokens: int = 0
    cost: Decimal = Decimal(0)
    price_version: str = ""
    estimated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The call was carried out and this is its result."""

    value: Json
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The call did not give a result.

    `in_doubt` means the request may have reached the other side: what it asked
    for may or may not have happened. A failure that is not in doubt did nothing.
    `retry_after` is the other side's own wish, in seconds.
    """

    error_class: ErrorClass
    detail: str
    in_doubt: bool = False
    retry_after: float | None = None
    usage: Usage = field(default_factory=Usage)


Outcome = Done | Failed
