"""Outcomes as the ledger keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, assert_never

from policy.core.json import Json
from policy.core.outcomes import Done, ErrorClass, Failed, Outcome, Usage


def outcome_to_json(outcome: Outcome) -> Json:
    """Write an outcome down for the ledger."""
    match outcome:
        case Done(value=value):
            return {"value": value}
        case Failed(error_class=error_class, detail=detail, in_doubt=in_doubt):
            return {"failed": error_class, "detail": detail, "in_doubt": in_doubt}
        case never:
            assert_never(never)


def outcome_from_json(raw: Mapping[str, Any]) -> Outcome:
    """Read an outcome back; its use was settled when it was written."""
    if "failed" in raw:
        return Failed(
            error_class=ErrorClass(raw["failed"]),
            detail=raw["detail"],
            in_doubt=raw.get("in_doubt", False),
            usage=Usage(),
        )
    return Done(value=raw["value"])
