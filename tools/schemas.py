"""Check JSON against the schemas of tools: compiled once, never fetching anything."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from itertools import islice
from threading import Lock
from typing import Any, Final, Literal

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from referencing import Registry
from referencing.exceptions import Unresolvable

from policy.core.json import Json, JsonObject
from tools.core.spec import ToolSpec
from tools.errors import InvalidTool

Side = Literal["input", "output"]

MOST_FAULTS: Final = 5
LONGEST_FAULT: Final = 200
MOST_COMPILED: Final = 4096
_NOWHERE: Final[Registry[Any]] = Registry()  # the default one would fetch remote references

_compiled: OrderedDict[tuple[str, str, str, Side], tuple[JsonObject, Draft202012Validator]]
_compiled = OrderedDict()
_lock = Lock()


def checked_schema(schema: JsonObject, tool: str) -> JsonObject:
    """Give a schema back if it can be used to check arguments.

    Raises:
        InvalidTool: it is no JSON Schema of draft 2020-12.
    """
    try:
        Draft202012Validator.check_schema(dict(schema))
        list(_validator(schema).iter_errors({}))
    except (SchemaError, Unresolvable, RecursionError) as error:
        raise InvalidTool(f"tool {tool}: its schema cannot be used: {error}"[:500]) from error
    return schema


def faults(spec: ToolSpec, side: Side, value: Json) -> str:
    """Say what is wrong with a tool's arguments or result, or nothing.

    Each fault names its place by JSON Pointer: `/items/0/id: 'x' is not of type 'integer'`.
    """
    schema = spec.input_schema if side == "input" else spec.output_schema
    if schema is None:
        return ""
    try:
        found = islice(_compiled_for(spec, side, schema).iter_errors(value), MOST_FAULTS)
        return "; ".join(_told(found))
    except (Unresolvable, RecursionError) as error:
        return f"its schema cannot be used: {error}"[:LONGEST_FAULT]


def misfit(schema: JsonObject, value: Json) -> str:
    """Say what of a value does not fit a schema, or nothing; a broken schema fits nothing."""
    try:
        Draft202012Validator.check_schema(dict(schema))
        return "; ".join(_told(islice(_validator(schema).iter_errors(value), MOST_FAULTS)))
    except (SchemaError, Unresolvable, RecursionError) as error:
        return f"its schema cannot be used: {error}"[:LONGEST_FAULT]


def _told(errors: Iterator[ValidationError]) -> Iterator[str]:
    for error in errors:
        pointer = "".join(f"/{_escaped(str(part))}" for part in error.absolute_path)
        text = error.message
        shown = text if len(text) <= LONGEST_FAULT else f"{text[:LONGEST_FAULT]}..."
        yield f"{pointer or '/'}: {shown}"


def _escaped(part: str) -> str:
    return part.replace("~", "~0").replace("/", "~1")


def _compiled_for(spec: ToolSpec, side: Side, schema: JsonObject) -> Draft202012Validator:
    key = (spec.server_id, spec.name, spec.version, side)
    known = _compiled.get(key)
    if known is not None and (known[0] is schema or known[0] == schema):
        return known[1]
    validator = _validator(schema)
    with _lock:
        _compiled[key] = (schema, validator)
        if len(_compiled) > MOST_COMPILED:
            _compiled.popitem(last=False)
    return validator


def _validator(schema: JsonObject) -> Draft202012Validator:
    return Draft202012Validator(dict(schema), registry=_NOWHERE)
