"""JSON values, and the one canonical form that digests are taken of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

Json: TypeAlias = Any
JsonObject: TypeAlias = Mapping[str, Any]


def canonical(value: Json) -> bytes:
    """Encode with sorted keys and no spaces, as UTF-8, so that equal values give equal bytes.

    Raises:
        ValueError: the value holds NaN or an infinity, which JSON cannot name.
        TypeError: the value is not JSON.
    """
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode("utf-8", "surrogatepass")


def digest(*parts: Json) -> str:
    """Name the parts by the SHA-256 of their canonical form, as 64 hex digits."""
    return hashlib.sha256(canonical(list(parts))).hexdigest()


def copied(value: Json) -> Json:
    """Copy a JSON value, so that whoever changes the copy leaves the original alone."""
    if isinstance(value, Mapping):
        return {key: copied(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [copied(item) for item in value]
    return value
