"""JSON values, and the one canonical form that digests are taken of."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, TypeAlias

Json: TypeAlias = Any
JsonObject: TypeAlias = Mapping[str, Any]


DEEPEST: Final = 64
SMALLEST: Final = -(2**63)
LARGEST: Final = 2**64 - 1
LEAST_WITH_EXPONENT: Final = 1e16
_SCALAR: Final = (str, int, float, type(None))
_NUMBER: Final = (int, float)
_ARRAY: Final = (list, tuple)
_UNSTORABLE: Final = {0: "\ufffd", **dict.fromkeys(range(0xD800, 0xE000), "\ufffd")}


def canonical(value: Json) -> bytes:
    """Encode with sorted keys and no spaces, as UTF-8, so that equal values give equal bytes.

    Numbers are written by value: 1.0 as 1, 1e20 in full. PostgreSQL reads them so, and a
    digest must not change because its value was stored in between.

    Raises:
        ValueError: the value holds NaN or an infinity, which JSON cannot name.
        TypeError: the value is not JSON.
    """
    encoded = _encoded(value)
    if b".0" in encoded or b"e+" in encoded:  # perhaps a whole number written as a float
        encoded = _encoded(_by_value(value))
    return encoded


def _encoded(value: Json) -> bytes:
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode("utf-8", "surrogatepass")


def _by_value(value: Json) -> Json:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {key: _by_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_by_value(item) for item in value]
    return value


def storable(value: Json, *, depth: int = DEEPEST) -> Json:
    """Copy foreign JSON into a form that every part of the product can hold.

    Characters that PostgreSQL cannot store (NUL, lone surrogates) become U+FFFD; whole
    numbers beyond 64 bits become floats, as every reader of JSON may take them. What a
    model or a tool sent goes through here once, before anybody judges or records it.

    Raises:
        ValueError: it is nested too deeply, holds NaN or an infinity, or is not JSON.
    """
    if isinstance(value, str):
        return value if value.isascii() and "\0" not in value else value.translate(_UNSTORABLE)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, _NUMBER):
        return _number(value)
    if depth and (type(value) is dict or isinstance(value, Mapping)):  # the first is quicker
        return {storable(str(k)): storable(v, depth=depth - 1) for k, v in value.items()}
    if depth and isinstance(value, _ARRAY):
        return [storable(item, depth=depth - 1) for item in value]
    raise ValueError("not a JSON value, or nested too deeply" if depth else "nested too deeply")


def _number(value: float) -> int | float:
    """Give a number as PostgreSQL will give it back: a whole one of 64 bits without exponent."""
    if isinstance(value, int):
        return value if SMALLEST <= value <= LARGEST else _number(_as_float(value))
    if not math.isfinite(value):
        raise ValueError("NaN and infinities are not JSON values")
    if LEAST_WITH_EXPONENT <= abs(value) <= LARGEST:
        whole = int(Decimal(repr(value)))
        return whole if SMALLEST <= whole <= LARGEST else value
    return value + 0.0


def _as_float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        raise ValueError("a number is too large") from None


def parsed(text: str | bytes) -> Json:
    """Read JSON strictly: no NaN, no infinity, nothing too deep; the result is storable.

    Raises:
        ValueError: the text is not such JSON.
    """
    try:
        return storable(json.loads(text))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def digest(*parts: Json) -> str:
    """Name the parts by the SHA-256 of their canonical form, as 64 hex digits."""
    return hashlib.sha256(canonical(list(parts))).hexdigest()


def copied(value: Json) -> Json:
    """Copy a JSON value, so that whoever changes the copy leaves the original alone."""
    if isinstance(value, _SCALAR):
        return value
    if isinstance(value, Mapping):
        return {key: copied(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [copied(item) for item in value]
    return value
