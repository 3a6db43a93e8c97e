"""What compensates an effect: a call of the tool that its own tool names. Pure.

The compensating tool's parameters are filled by name: `effect_result` with what the effect gave,
`effect_key` with its idempotency key, every other with the argument of that name.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from policy.core.json import Json, JsonObject

RESULT: Final = "effect_result"
KEY: Final = "effect_key"


class Compensation(StrEnum):
    """How an effect stands to its compensation."""

    OPEN = "open"
    IMPOSSIBLE = "impossible"
    UNDER_WAY = "under_way"
    COMPENSATED = "compensated"
    UNKNOWN = "unknown"


def filled(schema: JsonObject, *, arguments: JsonObject, result: Json, key: str) -> JsonObject:
    """Fill a compensating tool's parameters.

    Raises:
        ValueError: it wants something that the effect does not have.
    """
    known = {**arguments, RESULT: result, KEY: key}
    wanted = schema.get("properties")
    if not isinstance(wanted, dict):
        return dict(arguments)
    lacking = [name for name in schema.get("required", ()) if name not in known]
    if lacking:
        raise ValueError(f"it wants {', '.join(lacking)}, which the effect does not have")
    return {name: known[name] for name in wanted if name in known}


def stands_as(*, state: str, in_doubt: bool) -> Compensation:
    """Say from the ledger's row of a compensating call how its effect stands."""
    if state == "done":
        return Compensation.COMPENSATED
    if state == "unknown" or (state == "failed" and in_doubt):
        return Compensation.UNKNOWN
    return Compensation.OPEN if state == "failed" else Compensation.UNDER_WAY
