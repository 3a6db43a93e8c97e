"""What can be said of a call whose outcome nobody knows. Pure values."""

from __future__ import annotations

from dataclasses import dataclass

from policy.core.json import JsonObject
from policy.core.outcomes import Failed


@dataclass(frozen=True, slots=True)
class Happened:
    """It was carried out, and this was its result."""

    result: object = None


@dataclass(frozen=True, slots=True)
class NotHappened:
    """It was not carried out, and will not be any more."""


@dataclass(frozen=True, slots=True)
class CannotTell:
    """The service does not know either."""

    why: str = ""


Found = Happened | NotHappened | CannotTell | Failed
"""What a reconcile hook answered, or that it failed."""


def told(found: Found) -> JsonObject:
    """Write an answer down for the ledger."""
    match found:
        case Happened():
            return {"reconcile": "happened"}
        case NotHappened():
            return {"reconcile": "not_happened"}
        case CannotTell(why=why):
            return {"reconcile": "cannot_tell", "detail": why[:500]}
        case Failed(error_class=error_class, detail=detail):
            return {"reconcile": "failed", "detail": f"{error_class}: {detail}"[:500]}
