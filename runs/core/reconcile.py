"""What came of a super-step: its results in, one commit out. Pure, and deterministic.

Results are merged in the order of the tasks, whatever the order they finished in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from policy.core.json import Json, JsonObject
from policy.core.outcomes import ErrorClass
from runs.core.channels import Log
from runs.core.checkpoint import Checkpoint, TaskSpec
from runs.core.graph import OUTPUT, Graph, Send
from runs.core.guards import allowed, watched
from runs.core.lifecycle import Reason, RunState
from runs.core.results import Broken, Finished, Held, TaskResult
from runs.errors import InvalidGraph, InvalidWrite


@dataclass(frozen=True, slots=True, kw_only=True)
class Advance:
    """The super-step is complete: the next checkpoint, and what it wrote.

    `ended` says that no task comes next; `output` is then the run's. `told` are events.
    """

    checkpoint: Checkpoint
    writes: Mapping[str, Json]
    ended: bool
    output: Json = None
    told: tuple[tuple[str, JsonObject], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspend:
    """The super-step waits for a named thing; finished siblings keep their writes."""

    state: RunState
    reason: Reason
    due_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fail:
    """The super-step cannot be completed."""

    error_class: ErrorClass
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Exhaust:
    """The super-step can never go on: its money is exhausted, and its agent ends then.

    `otherwise` is what becomes of it where somebody raised a budget meanwhile.
    """

    detail: str
    otherwise: Suspend


Commit = Advance | Suspend | Exhaust | Fail

NOTHING_CORRECTED: Final[Mapping[str, Json]] = MappingProxyType({})

SUSPENDED_AS: Final[Mapping[Reason, RunState]] = {
    Reason.POISON: RunState.INTERRUPTED,
    Reason.VERSION: RunState.INTERRUPTED,
    Reason.OUTCOME_UNKNOWN: RunState.INTERRUPTED,
    Reason.APPROVAL: RunState.INTERRUPTED,
    Reason.BUDGET: RunState.PAUSED,
    Reason.SIGNAL: RunState.WAITING,
    Reason.CHILDREN: RunState.WAITING,
    Reason.BREAKER: RunState.WAITING,
    Reason.RATE_LIMIT: RunState.WAITING,
    Reason.TIMER: RunState.WAITING,
}
"""The state for each reason, the one that most needs somebody first."""


def reconcile(
    graph: Graph,
    checkpoint: Checkpoint,
    results: Mapping[str, TaskResult],
    *,
    leave: bool = False,
    ends_exhausted: bool = False,
    corrections: Mapping[str, Json] = NOTHING_CORRECTED,
) -> Commit:
    """Merge the results of a super-step's tasks. Every task has one; `leave` as in `plan`.

    `ends_exhausted`: one task whose money is exhausted for good ends the run, whatever the others
    wait for: the super-step needs them all. `corrections` are a reviewer's: the next checkpoint has
    them, whatever the tasks wrote there.
    """
    ordered = [(task, results[task.id]) for task in checkpoint.tasks]
    for task, result in ordered:
        if isinstance(result, Broken):
            return Fail(error_class=result.error_class, detail=f"{task.id}: {result.detail}")
    held = [(task, result) for task, result in ordered if isinstance(result, Held)]
    if held:
        return _set_aside(held, ends_exhausted=ends_exhausted)
    finished = [(t, r) for t, r in ordered if isinstance(r, Finished)]
    try:
        if leave:
            watch = allowed(checkpoint.watch, checkpoint.super_step, graph.max_super_steps)
            checkpoint = replace(checkpoint, watch=watch)
        return _advance(graph, checkpoint, finished, corrections)
    except (InvalidWrite, InvalidGraph) as error:
        return Fail(error_class=ErrorClass.VALIDATION_ERROR, detail=str(error))


def together(held: Iterable[Held]) -> Held:
    """Say in one what several wait for: whom it needs first, and the earliest moment."""
    held = list(held)
    reasons = {result.reason for result in held}
    return Held(
        reason=next(reason for reason in SUSPENDED_AS if reason in reasons),
        until=min((h.until for h in held if h.until is not None), default=None),
        exhausted=next((h.exhausted for h in held if h.exhausted), ""),
    )


def _set_aside(held: Iterable[tuple[TaskSpec, Held]], *, ends_exhausted: bool) -> Suspend | Exhaust:
    held = list(held)
    whole = together(result for _, result in held)
    suspend = Suspend(state=SUSPENDED_AS[whole.reason], reason=whole.reason, due_at=whole.until)
    if not (ends_exhausted and whole.exhausted):
        return suspend
    lacks = next(f"{task.id}: {h.exhausted}" for task, h in held if h.exhausted)
    return Exhaust(detail=f"its budget is exhausted: {lacks}", otherwise=suspend)


def _advance(
    graph: Graph,
    checkpoint: Checkpoint,
    finished: list[tuple[TaskSpec, Finished]],
    corrections: Mapping[str, Json],
) -> Advance:
    super_step = checkpoint.super_step + 1
    channels = dict(checkpoint.channels)
    written: dict[str, int] = dict(checkpoint.written)
    changed: dict[str, Json] = {}
    for name, writes in _by_channel(finished).items():
        channel = graph.channel(name)
        before = channels.get(name)
        channels[name] = channel.merge(name, channel.empty() if before is None else before, writes)
        written[name] = super_step
        changed[name] = _stored(channels[name], writes)
    for name in corrections.keys() & graph.channels.keys():
        channels[name] = changed[name] = corrections[name]
        written[name] = super_step
    tasks = _next_tasks(graph, finished, changed)
    moved = tasks != checkpoint.tasks or _differs(checkpoint.channels, channels, changed)
    watch = watched(checkpoint.watch, (done.trace for _, done in finished), changed=moved)
    return Advance(
        checkpoint=Checkpoint(
            super_step=super_step,
            channels=channels,
            written=written,
            tasks=tasks,
            skipped=checkpoint.skipped,
            watch=watch,
        ),
        writes=changed,
        ended=not tasks,
        output=None if tasks else _plain(channels.get(OUTPUT)),
    )


def _differs(
    before: Mapping[str, Any], after: Mapping[str, Any], changed: Mapping[str, Json]
) -> bool:
    """Say whether what was written made a difference."""
    for name, stored in changed.items():
        if isinstance(after[name], Log):
            if stored:
                return True
        elif name not in before or before[name] != after[name]:
            return True
    return False


def _by_channel(finished: Iterable[tuple[TaskSpec, Finished]]) -> dict[str, list[Json]]:
    writes: dict[str, list[Json]] = {}
    for _, result in finished:
        for name, value in result.writes.items():
            writes.setdefault(name, []).append(value)
    return writes


def _stored(value: Any, writes: list[Json]) -> Json:
    """A log stores what was appended, any other channel its new value."""
    if isinstance(value, Log):
        return [item for write in writes for item in write]
    return value


def _plain(value: Any) -> Json:
    return value.items() if isinstance(value, Log) else value


def _next_tasks(
    graph: Graph, finished: Iterable[tuple[TaskSpec, Finished]], changed: Mapping[str, Json]
) -> tuple[TaskSpec, ...]:
    """Collect who comes next: asked-for tasks in order, then subscribers by name.

    Sends are kept one by one; a node that is merely named comes once.
    """
    wanted: list[str | Send] = []
    for task, result in finished:
        following = graph.nodes[task.node].then if result.next is None else result.next
        wanted.extend(following)
    wanted.extend(n for n in sorted(graph.nodes) if graph.nodes[n].subscribes & changed.keys())
    for item in wanted:
        name = item if isinstance(item, str) else item.node
        if name not in graph.nodes:
            raise InvalidGraph(f"no node {name!r}; there are {sorted(graph.nodes)}")
    plain = dict.fromkeys(item for item in wanted if isinstance(item, str))
    sends = [item for item in wanted if isinstance(item, Send)]
    if len(sends) + len(plain) > graph.max_tasks:
        told = f"{len(sends) + len(plain)} tasks come next"
        raise InvalidGraph(f"{told}; a super-step has {graph.max_tasks} at most (max_tasks)")
    return _numbered([*sends, *(Send(node=name) for name in plain)])


def _numbered(wanted: list[Send]) -> tuple[TaskSpec, ...]:
    """Name tasks: by their node where it comes once, numbered where it comes often."""
    total: dict[str, int] = {}
    for send in wanted:
        total[send.node] = total.get(send.node, 0) + 1
    seen: dict[str, int] = {}
    tasks = []
    for send in wanted:
        number = seen[send.node] = seen.get(send.node, -1) + 1
        task_id = send.node if total[send.node] == 1 else f"{send.node}.{number}"
        tasks.append(TaskSpec(id=task_id, node=send.node, arg=send.arg))
    return tuple(tasks)
