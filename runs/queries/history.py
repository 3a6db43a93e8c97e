"""What a run did: its super-steps, ledger, events and checkpoints."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Q

from runs.errors import HistoryGone, UnknownRun
from runs.models import Checkpoint, Effect, Run, Task
from runs.queries.values import (
    FINAL_STATES,
    CheckpointView,
    EffectView,
    EventView,
    StepView,
    TaskView,
)


def steps(run_id: UUID, *, after: int = -1, limit: int) -> list[StepView]:
    """List the super-steps of a run after one, in order: committed ones, and the open one.

    A super-step begins with the checkpoint of its number and commits the next one.

    Raises:
        UnknownRun: the scope's tenant has no such run.
        HistoryGone: what was asked for was removed.
    """
    row = _known(run_id)
    _check_kept(row, row.super_step, after)
    found = Checkpoint.objects.filter(
        run_id=run_id, super_step__gt=after, super_step__lte=after + limit + 1
    ).order_by("super_step")
    marks = list(found)
    numbers = [mark.super_step for mark in marks[:limit]]
    effects = list(_effects(run_id).filter(super_step__in=numbers))
    tasks = list(Task.objects.filter(run_id=run_id, super_step__in=numbers))
    left = _left_behind(run_id, row.super_step)
    views = []
    for index, mark in enumerate(marks[:limit]):
        following = marks[index + 1] if index + 1 < len(marks) else None
        if following is None and not mark.head.get("tasks"):
            continue
        step = _step(row, mark, following, effects, tasks)
        views.append(replace(step, state="abandoned") if mark.super_step in left else step)
    return views


def effects(run_id: UUID, *, after: tuple[int, str, int] | None, limit: int) -> list[EffectView]:
    """List the ledger of a run in the order of its places, after one of them."""
    _known(run_id)
    rows = _effects(run_id)
    if after is not None:
        step, task, ordinal = after
        same_task = Q(super_step=step, task=task, ordinal__gt=ordinal)
        rows = rows.filter(Q(super_step__gt=step) | Q(super_step=step, task__gt=task) | same_task)
    return [_effect(row) for row in rows[:limit]]


def events(run_id: UUID, *, after: int = 0, limit: int) -> list[EventView]:
    """List what happened to a run after a number of its sequence; raises as `steps`."""
    row = _known(run_id)
    _check_kept(row, row.event_seq, after)
    return _told("SELECT * FROM runs_events(%s, %s, %s)", run_id, after, limit)


def last_events(run_id: UUID, *, limit: int) -> list[EventView]:
    """List the newest events of a run, the newest first."""
    return _told("SELECT * FROM runs_last_events(%s, %s)", run_id, limit)


def _told(statement: str, *args: Any) -> list[EventView]:
    with connection.cursor() as cursor:
        cursor.execute(statement, args)
        rows = cursor.fetchall()
    return [EventView(seq=s, type=t, data=json.loads(data), at=at) for s, t, data, at in rows]


def checkpoints(run_id: UUID, *, after: int = -1, limit: int) -> list[CheckpointView]:
    """List the checkpoints of a run after one, as they are stored; raises as `steps`."""
    row = _known(run_id)
    _check_kept(row, row.super_step, after)
    rows = Checkpoint.objects.filter(run_id=run_id, super_step__gt=after)
    return [
        CheckpointView(super_step=row.super_step, head=row.head, writes=row.writes, at=row.at)
        for row in rows.order_by("super_step")[:limit]
    ]


def _left_behind(run_id: UUID, present: int) -> set[int]:
    """Name the super-steps that a rewind left behind: they lead to no present state.

    A checkpoint that a migration rewrote skips all before it, and left nothing behind.
    """
    heads = Checkpoint.objects.filter(run_id=run_id, super_step=present)
    gaps = [
        ends for head in heads.values_list("head", flat=True) for ends in head.get("skipped", [])
    ]
    return {step for first, last in gaps for step in range(first - 1, last + 1) if first}


def _known(run_id: UUID) -> Run:
    facts = ("id", "state", "super_step", "event_seq", "history_removed_at")
    row = Run.objects.filter(pk=run_id).only(*facts).first()
    if row is None:
        raise UnknownRun(f"there is no run {run_id}")
    return row


def _check_kept(row: Run, last: int, after: int) -> None:
    """See whether what comes after a number is there: of a removed history only the last is."""
    if row.history_removed_at is not None and after + 1 < last:
        raise HistoryGone(row.pk, row.history_removed_at)


def _effects(run_id: UUID) -> Any:
    return Effect.objects.filter(run_id=run_id).order_by("super_step", "task", "ordinal")


def _step(
    row: Run,
    mark: Checkpoint,
    following: Checkpoint | None,
    effects: Iterable[Effect],
    tasks: Iterable[Task],
) -> StepView:
    ours = [effect for effect in effects if effect.super_step == mark.super_step]
    held = {task.task: task for task in tasks if task.super_step == mark.super_step}
    state = "committed" if following is not None else "open"
    if following is None and row.state in FINAL_STATES:
        state = row.state
    return StepView(
        super_step=mark.super_step,
        state=state,
        tasks=tuple(_task(spec, held, state) for spec in mark.head.get("tasks", [])),
        effects=tuple(f"{effect.kind} {effect.name}" for effect in ours),
        cost=sum((effect.cost for effect in ours), Decimal(0)),
        tokens=sum(effect.input_tokens + effect.output_tokens for effect in ours),
        wrote=() if following is None else tuple(sorted(following.writes)),
        began_at=mark.at,
        committed_at=None if following is None else following.at,
    )


def _task(spec: list[Any], held: Mapping[str, Task], state: str) -> TaskView:
    task_id, node = spec[0], spec[1]
    row = held.get(task_id)
    settled = "settled" if state == "committed" else "pending"
    return TaskView(
        id=task_id,
        node=node,
        state=settled if row is None else row.state,
        crashes=0 if row is None else row.crashes,
    )


def _effect(row: Effect) -> EffectView:
    plain = (
        "super_step",
        "task",
        "ordinal",
        "kind",
        "name",
        "version",
        "effect",
        "digest",
        "state",
        "attempt",
        "request",
        "outcome",
        "error_class",
        "decision",
        "approval_id",
        "cost",
        "input_tokens",
        "output_tokens",
        "price_version",
        "claimed_at",
        "finished_at",
    )
    values = {name: getattr(row, name) for name in plain}
    key = f"{row.run_id}/{row.super_step}/{row.task}/{row.ordinal}"
    return EffectView(key=key, **values)
