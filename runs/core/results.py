"""What became of one task of a super-step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from policy.core.json import Json, JsonObject
from policy.core.outcomes import ErrorClass
from runs.core.graph import Send
from runs.core.lifecycle import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """The task ended and wrote this. `next` is None where the node's own `then` counts.

    `trace` names what it called and what came back (`runs.core.guards`).
    """

    writes: Mapping[str, Json]
    next: tuple[str | Send, ...] | None = None
    trace: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The task waits: for a person, for money, or for a moment. It runs again afterwards.

    `exhausted` says what lacks where money is exhausted for good: nothing but a raise, or another
    period, would let the task go on.
    """

    reason: Reason
    until: datetime | None = None
    exhausted: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """The task failed for good."""

    error_class: ErrorClass
    detail: str


TaskResult = Finished | Held | Broken


def to_json(result: TaskResult) -> JsonObject:
    """Write a result down, for the task's row."""
    match result:
        case Finished(writes=writes, next=following, trace=trace):
            steps = None if following is None else [_step(item) for item in following]
            traced = {"trace": trace} if trace else {}
            return {"is": "finished", "writes": dict(writes), "next": steps, **traced}
        case Held(reason=reason, until=until, exhausted=exhausted):
            lacks = {"exhausted": exhausted} if exhausted else {}
            moment = until and until.isoformat()
            return {"is": "held", "reason": reason, "until": moment, **lacks}
        case Broken(error_class=error_class, detail=detail):
            return {"is": "broken", "error_class": error_class, "detail": detail}
        case unknown:
            assert_never(unknown)


def from_json(raw: JsonObject) -> TaskResult:
    """Read a result back.

    Raises:
        ValueError: it is none of the three.
    """
    match raw["is"]:
        case "finished":
            following = raw["next"]
            return Finished(
                writes=raw["writes"],
                next=None if following is None else tuple(_unstep(item) for item in following),
                trace=raw.get("trace", ""),
            )
        case "held":
            until = raw["until"]
            return Held(
                reason=Reason(raw["reason"]),
                until=until and datetime.fromisoformat(until),
                exhausted=raw.get("exhausted", ""),
            )
        case "broken":
            return Broken(error_class=ErrorClass(raw["error_class"]), detail=raw["detail"])
        case other:
            raise ValueError(f"no task result is {other!r}")


def _step(item: str | Send) -> Json:
    return item if isinstance(item, str) else {"node": item.node, "arg": item.arg}


def _unstep(item: Json) -> str | Send:
    return item if isinstance(item, str) else Send(node=item["node"], arg=item["arg"])
