"""What a node returned, as its task's result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from policy.core.json import storable
from policy.core.outcomes import ErrorClass
from runs.core.files import FILES
from runs.core.graph import Send, Step
from runs.core.results import Broken, Finished, TaskResult


def result_of(returned: Any) -> TaskResult:
    """Read what a node returned; what cannot be one is a failure that says why."""
    try:
        match returned:
            case Step(writes=writes, next=following):
                return Finished(writes=_json(writes), next=_next(following))
            case None:
                return Finished(writes={})
            case Mapping():
                return Finished(writes=_json(returned))
            case _:
                kind = type(returned).__name__
                return _invalid(
                    f"a node returns a mapping of channels to values, a Step, or None; not {kind}"
                )
    except (ValueError, TypeError) as error:
        return _invalid(f"what the node returned cannot be stored: {error}")


def _invalid(detail: str) -> Broken:
    return Broken(error_class=ErrorClass.VALIDATION_ERROR, detail=storable(detail[:2000]))


def _json(writes: Mapping[str, Any]) -> Any:
    if FILES in writes:
        raise ValueError(f"channel {FILES!r} is written through ctx.files only")
    return storable(dict(writes))


def _next(following: Any) -> tuple[str | Send, ...] | None:
    if following is None:
        return None
    if isinstance(following, str):
        raise TypeError("Step.next is a tuple of nodes and Sends, not a text")
    return tuple(_one_next(item) for item in following)


def _one_next(item: Any) -> str | Send:
    match item:
        case str():
            return item
        case Send(node=str(node), arg=arg):
            return Send(node=node, arg=storable(arg))
        case _:
            kind = type(item).__name__
            raise TypeError(f"Step.next holds names of nodes and Sends, not {kind}")
