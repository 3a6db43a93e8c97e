"""JSON in, strictly: one reading, storable, bounded. Or a clear refusal."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Mapping
from typing import IO, Any, Final, NoReturn

from django.conf import settings
from rest_framework.parsers import BaseParser

from policy.api.errors import BodyTooLarge, MalformedBody, UnusableJson

MAX_DEPTH: Final = 64
MAX_DIGITS: Final = 300
OPENING: Final = (b"[", b"{")
CLOSING: Final = (b"]", b"}")
TOKENS: Final = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)
"""Strings, also one that never ends, so that looking takes time in proportion; brackets."""


class StrictJSONParser(BaseParser):
    """Parses `application/json`, refusing what two readers would read differently."""

    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,  # noqa: ARG002
        parser_context: Mapping[str, Any] | None = None,  # noqa: ARG002
    ) -> Any:
        """Read the body.

        Raises:
            BodyTooLarge: it is longer than DATA_UPLOAD_MAX_MEMORY_SIZE.
            MalformedBody: it is not JSON in UTF-8.
            UnusableJson: it repeats a name, nests too deep, or holds what cannot be stored.
        """
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        raw = stream.read(limit + 1)
        if len(raw) > limit:
            raise BodyTooLarge(f"a body may have {limit} bytes")
        return loads(raw)


def loads(raw: bytes) -> Any:
    """Read one JSON value from bytes.

    Raises:
        MalformedBody: they are not JSON in UTF-8.
        UnusableJson: they repeat a name, nest too deep, or hold what cannot be stored.
    """
    _refuse_deep(raw)
    try:
        text = raw.removeprefix(codecs.BOM_UTF8).decode("utf-8")
        value = json.loads(
            text,
            object_pairs_hook=_once_each,
            parse_constant=_no_constant,
            parse_int=_whole,
            parse_float=_finite,
        )
    except UnicodeDecodeError as error:
        raise MalformedBody(
            f"the body is not UTF-8: {error.reason} at byte {error.start}"
        ) from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise MalformedBody(f"the body is not JSON: {error.msg} at {where}") from None
    _refuse_unstorable(value, "")
    return value


def _refuse_deep(raw: bytes) -> None:
    """Stop before the recursive decoder would, counting brackets outside of strings."""
    if raw.count(b"[") + raw.count(b"{") <= MAX_DEPTH:
        return
    depth = 0
    for found in TOKENS.finditer(raw):
        token = found[0]
        depth += (token in OPENING) - (token in CLOSING)
        if depth > MAX_DEPTH:
            raise UnusableJson(f"the body nests deeper than {MAX_DEPTH} levels")


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise UnusableJson(f"the name {name!a} stands twice in one object")
        found[name] = value
    return found


def _no_constant(name: str) -> NoReturn:
    raise MalformedBody(f"{name} is not a JSON number")


def _whole(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise UnusableJson(f"a number has more than {MAX_DIGITS} digits")
    return int(digits)


def _finite(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise UnusableJson(f"the number {digits[:40]} is too large")
    return value


def _refuse_unstorable(value: Any, pointer: str) -> None:
    if isinstance(value, str):
        _refuse_text(value, pointer)
    elif isinstance(value, dict):
        for name, item in value.items():
            _refuse_text(name, pointer)
            escaped = name.replace("~", "~0").replace("/", "~1")
            _refuse_unstorable(item, f"{pointer}/{escaped}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _refuse_unstorable(item, f"{pointer}/{index}")


def _refuse_text(text: str, pointer: str) -> None:
    if "\x00" in text:
        raise UnusableJson("text may not contain the character U+0000", pointer)
    if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
        raise UnusableJson("text contains half of a surrogate pair, which is no character", pointer)
