"""Values that a schema lists or fixes, and that decide neither where nor to whom."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from policy.core.json import Json, JsonObject
from policy.provenance.lists import words
from policy.provenance.literal import Literals
from policy.provenance.targets import names_in, schema_at, unescaped, words_of

_DECISIVE: Final = words(
    """
    permission permissions role roles access visibility scope scopes privilege privileges
    right rights action operation op method mode command type kind status state policy
    audience sharing
    """
)
"""Choices that decide what is done or who may see it: they need an origin like any value."""

_GUARDS: Final = words(
    """
    private secure encrypted encrypt dry run confirm confirmation verify verified
    verification only readonly restricted protected enabled active test sandbox safe safety
    check checks mfa 2fa two factor lock locked notify alert audit log logging review
    approval approve approved public force permanent permanently forever everyone everybody
    all admin external anyone anonymous override overwrite skip bypass recursive
    """
)
"""Switches that guard something, or open it: they need an origin like any value."""


def is_closed(schema: JsonObject, pointer: str, value: Json, said: Literals) -> bool:
    """Say whether a leaf that is no target is harmless, wherever it came from.

    It is where the schema gives it as the default, where it is left empty though it need not
    be given, where it is a switch that guards nothing, or one of a list of choices that
    decides nothing.
    """
    told = schema_at(schema, pointer)
    if any(name in told and _same(told[name], value) for name in ("default", "const")):
        return True
    if value is None or value in ("", [], {}):
        return not _is_required(schema, pointer)
    names = {word for name in names_in(pointer) for word in words_of(name)}
    if isinstance(value, bool):
        return not names & _GUARDS
    choices = told.get("enum")
    if isinstance(choices, Sequence) and value in choices:
        return not names & (_DECISIVE | _GUARDS) or said.hold(value) is not None
    return False


def _same(one: Json, other: Json) -> bool:
    return type(one) is type(other) and bool(one == other)


def _is_required(schema: JsonObject, pointer: str) -> bool:
    parent, _, last = pointer.rpartition("/")
    above = schema_at(schema, parent) if parent else schema
    needed = above.get("required")
    if last.isdigit():
        return True
    return isinstance(needed, Sequence) and unescaped(last) in needed
