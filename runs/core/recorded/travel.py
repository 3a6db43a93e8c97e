"""Time travel, purely: what changed between two moments, and the ways back and aside.

diff     two checkpoints ──▶ what changed, channel by channel
rewound  a checkpoint of the past ──▶ the one that is appended, and stands for it
forked   a checkpoint of any run ──▶ the first one of a run of its own
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import takewhile
from typing import Any, Final

from policy.core.json import Json, canonical
from policy.core.outcomes import ErrorClass
from runs.core.channels import Log, Reducer
from runs.core.checkpoint import Checkpoint
from runs.core.effects import EffectKind, EffectState
from runs.core.files import FILES, listed
from runs.core.graph import Graph
from runs.errors import InvalidFile, InvalidInput


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What became of one channel: added, removed, changed, or for a log `items`.

    Of a log, `before` and `after` hold only the items that went and that came.
    """

    channel: str
    change: str
    before: Json = None
    after: Json = None


def plain(value: Any) -> Json:
    """Give a channel's value as JSON."""
    return value.items() if isinstance(value, Log) else value


def diff(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Change, ...]:
    """Say what changed between two states, by name; what stayed the same is left out."""
    found = (_change(n, before, after) for n in sorted(before.keys() | after.keys()))
    return tuple(change for change in found if change is not None)


def _change(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Change | None:
    old, new = plain(before.get(name)), plain(after.get(name))
    if name not in before:
        return Change(channel=name, change="added", after=new)
    if name not in after:
        return Change(channel=name, change="removed", before=old)
    if canonical(old) == canonical(new):
        return None
    if isinstance(before[name], Log) and isinstance(after[name], Log):
        pairs = zip(old, new, strict=False)
        same = sum(1 for _ in takewhile(lambda p: canonical(p[0]) == canonical(p[1]), pairs))
        return Change(channel=name, change="items", before=old[same:], after=new[same:])
    return Change(channel=name, change="changed", before=old, after=new)


def rewound(past: Checkpoint, present: int) -> Checkpoint:
    """Give the checkpoint after the present one that stands for a past one.

    Nothing is removed: what lies between is skipped by whoever reads logs.
    """
    skipped = (*past.skipped, (past.super_step + 1, present))
    return replace(past, super_step=present + 1, skipped=skipped)


def forked(graph: Graph, past: Checkpoint, edits: Mapping[str, Json]) -> Checkpoint:
    """Give the first checkpoint of a run that goes on from a moment of another.

    It holds every value itself, so that neither run needs the other's history.

    Raises:
        InvalidInput: nothing comes next there, the graph does not fit, or an edit does not.
    """
    if not past.tasks:
        raise InvalidInput([("/super_step", "the run ended there: nothing comes next")])
    channels: dict[str, Any] = {**past.channels, **edits}
    wrong = [
        (f"/state/{name}" if name in edits else "/version", text)
        for name, value in channels.items()
        if (text := misfit(graph, name, plain(value))) is not None
    ]
    if gone := sorted({task.node for task in past.tasks} - graph.nodes.keys()):
        wrong.append(("/version", f"this version has no node {gone[0]!r}"))
    if wrong:
        raise InvalidInput(wrong)
    state = {name: owned(graph, name, plain(value)) for name, value in channels.items()}
    return Checkpoint(
        super_step=0, channels=state, written=dict.fromkeys(state, 0), tasks=past.tasks
    )


TAKES: Final = {
    Reducer.LOG: (list, "a list"),
    Reducer.SUM: (int | float, "a number"),
    Reducer.MERGE: (dict, "an object"),
}


def misfit(graph: Graph, name: str, value: Json) -> str | None:
    """Say why a channel of this graph cannot hold a value; None where it can."""
    if name == FILES:
        return _no_files(value)
    if name not in graph.channels:
        return f"there is no channel {name!r}; there are {', '.join(sorted(graph.channels))}"
    kind, words = TAKES.get(graph.channels[name].reducer, (object, ""))
    if not isinstance(value, kind) or (words == "a number" and isinstance(value, bool)):
        return f"channel {name!r} holds {words}"
    return None


def _no_files(value: Json) -> str | None:
    try:
        listed(value)
    except InvalidFile as error:
        return str(error)
    return None


def owned(graph: Graph, name: str, value: Json) -> Any:
    """Give a channel's value in the form that it has in a run: a log is one of its own."""
    is_log = graph.channel(name).reducer is Reducer.LOG
    return Log().extended(value) if is_log else value


class Stands(StrEnum):
    """How an effect stands to the world when a run goes back before it."""

    DONE = "done"
    UNKNOWN = "unknown"


DOUBTFUL: Final = frozenset({ErrorClass.OUTCOME_UNKNOWN, ErrorClass.TIMEOUT})


def stands(
    *, kind: str, effect: str, state: str, error_class: str, attempts: Iterable[Mapping[str, Any]]
) -> Stands | None:
    """Say what going back leaves standing: None where the world was not changed.

    Reading changes nothing, and neither does asking a model. A call that failed in a way
    that says nothing of what happened may have happened.
    """
    if kind != EffectKind.TOOL or effect == "read":
        return None
    if state == EffectState.DONE:
        return Stands.DONE
    if state in {EffectState.CLAIMED, EffectState.UNKNOWN}:
        return Stands.UNKNOWN
    errors = {error_class}
    for attempt in attempts:
        if attempt.get("reconcile") == "not_happened":
            errors = {error_class}  # its hook found that none of those before did it
        errors.add(attempt.get("error_class", ""))
    return Stands.UNKNOWN if errors & DOUBTFUL else None
