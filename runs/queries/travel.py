"""A run as it was: its state at a checkpoint, what changed since, what cannot be undone."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection

from policy.core.json import Json, JsonObject
from runs.core import checkpoint
from runs.core.checkpoint import TaskSpec
from runs.core.recorded import travel
from runs.errors import HistoryGone, UnknownCheckpoint, UnknownRun
from runs.models import Checkpoint, Effect, Run
from runs.queries.compensations import compensations, stands_of


@dataclass(frozen=True, slots=True, kw_only=True)
class StateView:
    """A run's whole state at a checkpoint, and the tasks that come next."""

    super_step: int
    channels: JsonObject
    tasks: tuple[TaskSpec, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffView:
    """What changed between two checkpoints of a run."""

    before: int
    after: int
    changes: tuple[travel.Change, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingView:
    """An effect that going back leaves standing: it was done, or nobody knows.

    `compensation` says whether it can be compensated, or was (`runs.core.recorded.compensation`).
    """

    key: str
    name: str
    effect: str
    super_step: int
    stands: str
    request: Json
    compensation: str


def head_of(run_id: UUID, super_step: int | None) -> tuple[int, JsonObject]:
    """Find a checkpoint, and read where each of its values was written; None is the newest one.

    Raises:
        UnknownRun: the scope's tenant has no such run.
        UnknownCheckpoint: the run has none of that number.
        HistoryGone: it had, and its history was removed.
    """
    mark = _mark(run_id, super_step)
    return mark.super_step, checkpoint.decode_head(mark.head)


def checkpoint_of(run_id: UUID, super_step: int | None) -> checkpoint.Checkpoint:
    """Read a run as it was at a checkpoint; None is the newest one. Raises as `head_of`."""
    mark = _mark(run_id, super_step)
    head, at = checkpoint.decode_head(mark.head), mark.super_step
    plain = {name: step for name, step in head["written"].items() if name not in _logs(head)}
    rows = Checkpoint.objects.filter(run_id=run_id, super_step__in=set(plain.values()))
    writes = {row.super_step: row.writes for row in rows}
    values = {name: writes[step][name] for name, step in plain.items()}
    return checkpoint.decode(at, mark.head, values, _reader(mark.tenant_id, run_id, at))


def _mark(run_id: UUID, super_step: int | None) -> Checkpoint:
    facts = ("id", "tenant_id", "super_step", "history_removed_at")
    run = Run.objects.filter(pk=run_id).only(*facts).first()
    if run is None:
        raise UnknownRun(f"there is no run {run_id}")
    at = run.super_step if super_step is None else super_step
    found = Checkpoint.objects.filter(run_id=run_id, super_step=at).defer("writes").first()
    if found is None and run.history_removed_at is not None and at < run.super_step:
        raise HistoryGone(run_id, run.history_removed_at)
    if found is None:
        raise UnknownCheckpoint(f"run {run_id} has checkpoints 0 to {run.super_step}, not {at}")
    return found


def _logs(head: JsonObject) -> Sequence[str]:
    return list(head.get("logs", {}))


def _reader(tenant_id: UUID, run_id: UUID, upto: int) -> Callable[[str], Callable[[], list[Json]]]:
    def read(name: str) -> list[Any]:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT runs_read_log(%s, %s, %s, %s)::text", [tenant_id, run_id, name, upto]
            )
            items: list[Any] = json.loads(cursor.fetchone()[0])
            return items

    return lambda name: lambda: read(name)


def state(run_id: UUID, super_step: int | None) -> StateView:
    """Give a run's whole state at a checkpoint; raises as `checkpoint_of`."""
    found = checkpoint_of(run_id, super_step)
    channels = {name: travel.plain(value) for name, value in sorted(found.channels.items())}
    return StateView(super_step=found.super_step, channels=channels, tasks=found.tasks)


def diff(run_id: UUID, before: int, after: int | None) -> DiffView:
    """Compare two checkpoints of a run; raises as `checkpoint_of`."""
    old, new = checkpoint_of(run_id, before), checkpoint_of(run_id, after)
    changes = travel.diff(old.channels, new.channels)
    return DiffView(before=old.super_step, after=new.super_step, changes=changes)


def standing(run_id: UUID, since: int) -> list[StandingView]:
    """List what the run did to the world since a checkpoint, in the order of the ledger.

    Raises:
        UnknownRun: the scope's tenant has no such run.
    """
    if not Run.objects.filter(pk=run_id).exists():
        raise UnknownRun(f"there is no run {run_id}")
    undone = {one.key: one.state for one in compensations(run_id, since)}
    rows = Effect.objects.filter(run_id=run_id, super_step__gte=since)
    found = [
        (f"{run_id}/{row.super_step}/{row.task}/{row.ordinal}", row, stands_of(row))
        for row in rows.order_by("super_step", "task", "ordinal")
    ]
    return [
        StandingView(
            key=key,
            name=row.name,
            effect=row.effect,
            super_step=row.super_step,
            stands=stands,
            request=row.request,
            compensation=undone[key],
        )
        for key, row, stands in found
        if stands is not None
    ]
