"""What of a run those see who may see that it is there, and not what it says.

Left are names, states, moments, people, metadata, money, and the names of channels and arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final, TypeVar

from policy.core.actor import Actor
from policy.core.json import JsonObject
from policy.queries.masking import MASK, kinds_only, masked
from runs.core.checkpoint import TaskSpec
from runs.core.effects import EffectKind
from runs.core.lifecycle import Reason
from runs.core.recorded.travel import Change
from runs.queries.compensations import CompensationView
from runs.queries.files import FilesView, FileView
from runs.queries.travel import DiffView, StandingView, StateView
from runs.queries.values import CheckpointView, EffectView, EventView, RunView, StepView

View = TypeVar(
    "View",
    RunView,
    StepView,
    EventView,
    EffectView,
    CheckpointView,
    StateView,
    DiffView,
    StandingView,
    CompensationView,
    FilesView,
)

KEPT: Final = ("decision", "rule", "policy_version", "ceiling")
"""What is left of the verdict on a call."""

SEEN: Final = frozenset(
    {
        *("agent", "amount", "answers", "approval", "by", "channels", "compensates"),
        *("crashes", "decision", "dependency", "error_class", "from", "groups", "key", "kind"),
        *("lifted", "migration", "name", "owners", "parent", "period", "position", "run"),
        *("signal", "super_step", "task", "tasks", "to", "tool", "unit", "until", "worker"),
    }
)
"""The fields of events that anybody sees who sees the run: names, states, moments, numbers."""

JUDGED: Final[Mapping[str, Callable[[Any], Any]]] = {
    "detail": masked,
    "found": kinds_only,
    "reason": lambda said: said if said in list(Reason) else masked(said),
}
"""What is left of the others that are known. Any field that is in neither is masked whole."""


def seen_by(actor: Actor, view: View) -> View:
    """Give what an actor may see of a part of a run."""
    return view if actor.sees_content else _hidden(view)


def all_seen_by(actor: Actor, views: Iterable[View]) -> list[View]:
    """Give what an actor may see of parts of a run, in their order."""
    return [seen_by(actor, view) for view in views]


def _hidden(view: View) -> View:
    hidden = {name: how(getattr(view, name)) for name, how in CONTENTS[type(view)].items()}
    return replace(view, **hidden | _of_guards(view))


def _of_guards(view: object) -> dict[str, Any]:
    """Hide the engine's own questions whole: the names in them say what was found."""
    if isinstance(view, EffectView) and view.kind == EffectKind.GUARD:
        return {"request": _whole(view.request)}
    return {}


def _words(said: str) -> str:
    return MASK if said else ""


def _event(data: Any) -> Any:
    if not isinstance(data, Mapping):
        return masked(data)
    return {name: _field(name, part) for name, part in data.items()}


def _field(name: str, part: Any) -> Any:
    if name in SEEN:
        return part
    return JUDGED[name](part) if name in JUDGED else _whole(part)


def _whole(part: Any) -> Any:
    return None if part is None else MASK


def _verdict(decision: JsonObject) -> JsonObject:
    return {name: decision[name] for name in KEPT if name in decision}


def _head(head: JsonObject) -> JsonObject:
    """Keep which tasks come next, and not what they were given."""
    tasks = [[identity, node, masked(arg)] for identity, node, arg in head.get("tasks", [])]
    return {**head, "tasks": tasks}


def _tasks(tasks: Iterable[TaskSpec]) -> tuple[TaskSpec, ...]:
    return tuple(replace(task, arg=masked(task.arg)) for task in tasks)


def _changes(changes: Iterable[Change]) -> tuple[Change, ...]:
    return tuple(
        replace(change, before=masked(change.before), after=masked(change.after))
        for change in changes
    )


def _files(files: Iterable[FileView]) -> tuple[FileView, ...]:
    return tuple(replace(one, size=None, media_type=MASK, digest=MASK) for one in files)


CONTENTS: Final[Mapping[type, Mapping[str, Callable[[Any], Any]]]] = {
    RunView: {"input": masked, "output": masked, "error_detail": _words},
    StepView: {},
    EventView: {"data": _event},
    EffectView: {"request": masked, "outcome": masked, "decision": _verdict},
    CheckpointView: {"head": _head, "writes": masked},
    StateView: {"channels": masked, "tasks": _tasks},
    DiffView: {"changes": _changes},
    StandingView: {"request": masked},
    FilesView: {"files": _files},
    CompensationView: {"request": masked, "arguments": masked, "why": _words},
}
"""Which parts of what hold contents, and what is left of them."""
