"""Sleeping runs taken over to another version, in memory: the twin of `migrate_runs`."""

from __future__ import annotations

from collections.abc import Callable

from policy.core.json import Json
from runs.agents.program import Program
from runs.core.checkpoint import Checkpoint, decode, encode
from runs.core.lifecycle import HELD_BACK, Reason, RunState
from runs.core.recorded.migrate import migrated
from runs.core.recorded.travel import rewound
from runs.errors import Misfit
from runs.testing import admission
from runs.testing.rows import CheckpointRow, MigrationRow, RunRow, log_of, stored, values_of
from runs.testing.store import MemoryStore

ASLEEP = HELD_BACK | {RunState.QUEUED}


def migrate(store: MemoryStore, run: RunRow, origin: Program, target: Program) -> None:
    """Take a run over to a version, whose name becomes its version's id.

    Raises:
        Misfit: it does not fit, or somebody holds it.
    """
    with store.lock:
        if run.state not in ASLEEP:
            raise Misfit([f"it is {run.state}: only runs that nobody holds are taken over"])
        moved = migrated(
            _present(run),
            _asked(run),
            before={name: c.reducer for name, c in origin.graph.channels.items()},
            to=target.graph,
            how=target.migration_from(origin.version),
        )
        if moved.checkpoint is not None:
            _append(run, moved.checkpoint, dict(moved.writes))
        row = MigrationRow(
            origin=run.agent_version_id,
            target=target.version,
            super_step=run.super_step,
            token=run.token,
            appended=moved.checkpoint is not None,
        )
        run.migrations.append(row)
        _change(store, run, target.version, "run.migrated")


def undo(store: MemoryStore, run: RunRow) -> None:
    """Take the last migration of a run back.

    Raises:
        Misfit: it has gone on since.
    """
    with store.lock:
        row = run.migrations[-1]
        if (run.super_step, run.token) != (row.super_step, row.token) or run.state not in ASLEEP:
            raise Misfit([f"it has gone on since, and is {run.state}"])
        if row.appended:
            past = decode(
                run.super_step - 1,
                run.checkpoints[run.super_step - 1].head,
                {},
                lambda _: list,
            )
            _append(run, rewound(past, run.super_step), {})
        run.migrations.pop()
        _change(store, run, row.origin, "run.migration_undone")


def _present(run: RunRow) -> Checkpoint:
    at = run.super_step
    head = run.checkpoints[at].head

    def read(name: str) -> Callable[[], list[Json]]:
        return lambda: log_of(run, name, at)

    return decode(at, head, values_of(run, head), read)


def _asked(run: RunRow) -> set[str]:
    asked = {place.task for place in run.effects if place.super_step == run.super_step}
    kept = {
        task
        for (step, task), row in run.tasks.items()
        if step == run.super_step and row.result is not None
    }
    return asked | kept


def _append(run: RunRow, checkpoint: Checkpoint, writes: dict[str, Json]) -> None:
    run.super_step = checkpoint.super_step
    run.checkpoints[run.super_step] = CheckpointRow(
        head=stored(encode(checkpoint)), writes=stored(writes), token=run.token
    )


def _change(store: MemoryStore, run: RunRow, version: str, what: str) -> None:
    run.agent_version_id = version
    run.emit(what, {"super_step": run.super_step})
    if run.reason is Reason.VERSION:
        run.state, run.reason, run.due_at = RunState.QUEUED, Reason.NONE, None
        run.error_class = run.error_detail = ""
        admission.requeue(store, run)
