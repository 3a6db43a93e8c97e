"""Records: what effects do to a task's records, and how JSON values are compared.

Pure: values in, values out. `append` and `inc` are not idempotent, on purpose: an effect that
happens twice must show.
"""

import copy
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

Step = str | int
Op = Literal["set", "del", "append", "inc"]

_UNSTORABLE = {0: "\ufffd", **dict.fromkeys(range(0xD800, 0xE000), "\ufffd")}

OPS: tuple[Op, ...] = ("set", "del", "append", "inc")


class EffectError(ValueError):
    """An effect names a place that the records do not have."""


@dataclass(frozen=True, slots=True)
class Effect:
    """One change to the records: what, where, and with which value."""

    op: Op
    path: tuple[Step, ...]
    value: Any = None
    delta: float = 0
    digits: int | None = None


def canonical(value: Any) -> str:
    """Return the one spelling of a JSON value: sorted keys, no spaces, no ASCII escapes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def sha256(value: Any) -> str:
    """Return the digest of a JSON value's canonical spelling."""
    return hashlib.sha256(canonical(value).encode("utf-8", "surrogatepass")).hexdigest()


def storable(value: Any) -> Any:
    """Return the value with U+FFFD for what no database takes: NUL and halves of characters."""
    match value:
        case str():
            return value.translate(_UNSTORABLE)
        case list():
            return [storable(item) for item in value]
        case dict():
            return {storable(key): storable(item) for key, item in value.items()}
        case _:
            return value


def call_digest(name: str, arguments: Any) -> str:
    """Return what two calls have in common exactly when they ask for the same thing.

    A JSON document that passed through other hands may spell 5 as 5.0, and may have lost
    characters that cannot be stored: numbers count by value, texts by what is storable.
    """
    return sha256([name, _by_value(storable(arguments))])


def _by_value(value: Any) -> Any:
    match value:
        case float() if value.is_integer():
            return int(value)
        case list():
            return [_by_value(item) for item in value]
        case dict():
            return {key: _by_value(item) for key, item in value.items()}
        case _:
            return value


def changed(records: dict[str, Any], effects: Sequence[Effect]) -> dict[str, Any]:
    """Return the records after all effects; the given ones stay as they are.

    Raises EffectError when a place does not exist and cannot be made.
    """
    after = copy.deepcopy(records)
    for effect in effects:
        try:
            _change(after, effect)
        except (LookupError, TypeError, AttributeError) as error:
            where = "/".join(str(step) for step in effect.path)
            raise EffectError(f"{effect.op} {where}: the records have no such place") from error
    return after


def _change(records: dict[str, Any], effect: Effect) -> None:
    holder = _holder(records, effect.path[:-1])
    last = effect.path[-1]
    value = copy.deepcopy(effect.value)
    match effect.op:
        case "set":
            _put(holder, last, value)
        case "del":
            _drop(holder, last)
        case "append":
            _at(holder, last, default=[]).append(value)
        case "inc":
            _put(holder, last, _sum(_at(holder, last, default=0), effect))


def _holder(records: Any, steps: Sequence[Step]) -> Any:
    """Walk to the container that an effect changes; objects on the way are made if missing."""
    place = records
    for step in steps:
        place = _at(place, step, default={})
    return place


def _at(holder: Any, step: Step, *, default: Any) -> Any:
    if isinstance(holder, dict):
        return holder.setdefault(str(step), default)
    return holder[step]


def _put(holder: Any, step: Step, value: Any) -> None:
    if isinstance(holder, dict):
        holder[str(step)] = value
    elif isinstance(step, int) and step == len(holder):
        holder.append(value)
    else:
        holder[step] = value


def _drop(holder: Any, step: Step) -> None:
    if isinstance(holder, dict):
        holder.pop(str(step), None)
    else:
        del holder[step]


def _sum(before: Any, effect: Effect) -> Any:
    total = before + effect.delta
    return total if effect.digits is None else round(total, effect.digits)
