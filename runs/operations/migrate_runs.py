"""Take sleeping runs over to another version of their agent, and back.

Run by run, each in a transaction of its own: a run is locked, held against the new version, and
either changed with its event and audit event, or left as it is with the reasons why.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.db.models.functions import Now
from uuid_utils.compat import uuid7

from policy.audit import record
from policy.core.actor import Actor
from policy.core.json import JsonObject
from runs import queries
from runs.agents.program import Program
from runs.agents.versions import pinned, program_of, resolve
from runs.core.checkpoint import Checkpoint as Point
from runs.core.checkpoint import encode
from runs.core.graph import INPUT
from runs.core.lifecycle import HELD_BACK, Reason, RunState
from runs.core.recorded.migrate import Moved, migrated
from runs.core.recorded.travel import rewound
from runs.errors import InvalidInput, Misfit, UnknownMigration, UnknownVersion
from runs.models import AgentVersion, Checkpoint, Effect, Run, RunEvent, RunMigration, Task
from runs.nudging import queue_again

ASLEEP = HELD_BACK | {RunState.QUEUED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Between:
    """Two versions of an agent of the scope's tenant, and the program of the newer one."""

    origin: AgentVersion
    target: AgentVersion
    program: Program


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of one run; `reasons` say why it was left as it is."""

    run_id: UUID
    reasons: tuple[str, ...] = ()

    @property
    def is_moved(self) -> bool:
        """Say whether it was taken over, or would be."""
        return not self.reasons


def between(agent: str, *, origin: str, target: str) -> Between:
    """Find both versions; the code of the older one may be gone.

    Raises:
        UnknownAgent: there is no such version, or this code cannot run the newer one.
        Misfit: they are the same.
    """
    if origin == target:
        raise Misfit(["both versions are the same"])
    old = pinned(agent, origin)
    new, _ = resolve(agent, target)
    return Between(origin=old, target=new, program=program_of(new.id))


def pinned_to(
    version: AgentVersion, *, after: UUID | None = None, most: int | None = None
) -> list[UUID]:
    """List the runs of a version that have not ended, the oldest first; `after` one of them."""
    rows = Run.objects.filter(agent_version=version, finished_at=None)
    rows = rows if after is None else rows.filter(id__gt=after)
    return list(rows.order_by("id").values_list("id", flat=True)[:most])


def migrate_run(run_id: UUID, versions: Between, *, migration: UUID | None, by: Actor) -> Verdict:
    """Take one run over, as part of a migration; without one, only say whether it could be.

    It stays asleep for what it waits for; one that was parked because its version was gone is
    queued. Nobody who held it before can write any more than they could.
    """
    run = Run.objects.select_for_update(no_key=True).filter(pk=run_id).first()
    if run is None or run.agent_version_id != versions.origin.id:
        return Verdict(run_id=run_id, reasons=("it is no longer under that version",))
    try:
        moved = _moved(run, versions)
    except Misfit as misfit:
        return Verdict(run_id=run_id, reasons=tuple(misfit.reasons))
    if migration is not None:
        _take_over(run, versions, moved, migration=migration, by=by)
    return Verdict(run_id=run_id)


def _moved(run: Run, versions: Between) -> Moved:
    if run.state not in ASLEEP:
        raise Misfit([f"it is {run.state}: only runs that nobody holds are taken over"])
    try:
        present = queries.checkpoint_of(run.pk, None)
        versions.program.accept(present.channels.get(INPUT))
    except UnknownVersion as error:
        raise Misfit([str(error)]) from error
    except InvalidInput as error:
        raise Misfit([f"its input does not fit: {error}"]) from error
    return migrated(
        present,
        _asked(run),
        before=versions.origin.definition.get("graph", versions.program.graph.shape())["channels"],
        to=versions.program.graph,
        how=versions.program.migration_from(versions.origin.version),
    )


def _asked(run: Run) -> set[str]:
    """Name the tasks of the super-step under way that have asked, or have a kept result."""
    here = {"run_id": run.pk, "super_step": run.super_step}
    asked = Effect.objects.filter(**here).values_list("task", flat=True)
    kept = Task.objects.filter(**here, result__isnull=False).values_list("task", flat=True)
    return {*asked, *kept}


def _take_over(run: Run, versions: Between, moved: Moved, *, migration: UUID, by: Actor) -> None:
    if moved.checkpoint is not None:
        _append(run, moved.checkpoint, dict(moved.writes))
    facts: JsonObject = {
        "migration": str(migration),
        "from": versions.origin.version,
        "to": versions.target.version,
    }
    _change(run, versions.target.id, "run.migrated", facts, by=by)
    RunMigration(
        id=uuid7(),
        tenant_id=run.tenant_id,
        run_id=run.pk,
        migration=migration,
        from_version=versions.origin,
        to_version=versions.target,
        super_step=run.super_step,
        appended=moved.checkpoint is not None,
        fencing_token=run.fencing_token,
        by=str(by),
        at=Now(),
    ).save(force_insert=True)


def migrated_runs(
    migration: UUID, *, after: UUID | None = None, most: int | None = None
) -> list[UUID]:
    """Name the rows of a migration that are not undone, for `undo_one`: those after one, if given.

    Raises:
        UnknownMigration: the scope's tenant has none of that id.
    """
    rows = RunMigration.objects.filter(migration=migration)
    if not rows.exists():
        raise UnknownMigration(f"there is no migration {migration}")
    left = rows.filter(undone_at=None, **({} if after is None else {"id__gt": after}))
    return list(left.order_by("id").values_list("id", flat=True)[:most])


def undo_one(id: UUID, *, by: Actor) -> Verdict:  # noqa: A002 - the row's
    """Take one run back to the version that it came from, if nobody has worked on it since."""
    row = RunMigration.objects.select_related("from_version", "to_version").get(pk=id)
    run = Run.objects.select_for_update(no_key=True).get(pk=row.run_id)
    row.refresh_from_db(fields=["undone_at"])
    if row.undone_at is not None:
        return Verdict(run_id=run.pk, reasons=("it was taken back before",))
    stands = (run.agent_version_id, run.super_step, run.fencing_token)
    if stands != (row.to_version_id, row.super_step, row.fencing_token) or run.state not in ASLEEP:
        return Verdict(run_id=run.pk, reasons=(f"it has gone on since, and is {run.state}",))
    if row.appended:
        _append(run, rewound(queries.checkpoint_of(run.pk, run.super_step - 1), run.super_step), {})
    facts: JsonObject = {
        "migration": str(row.migration),
        "from": row.to_version.version,
        "to": row.from_version.version,
    }
    _change(run, row.from_version_id, "run.migration_undone", facts, by=by)
    RunMigration.objects.filter(pk=id).update(undone_at=Now())
    return Verdict(run_id=run.pk)


def _append(run: Run, checkpoint: Point, writes: JsonObject) -> None:
    run.super_step = checkpoint.super_step
    Checkpoint(
        tenant_id=run.tenant_id,
        run_id=run.pk,
        super_step=checkpoint.super_step,
        fencing_token=run.fencing_token,
        head=encode(checkpoint),
        writes=writes,
    ).save(force_insert=True)


def _change(run: Run, version_id: UUID, what: str, facts: JsonObject, *, by: Actor) -> None:
    """Pin the run to a version; wake it where it was parked for want of one."""
    was_parked = run.reason == Reason.VERSION
    queued = {
        "state": RunState.QUEUED,
        "reason": "",
        "due_at": None,
        "error_class": "",
        "error_detail": "",
        "nudged_at": Now(),
    }
    Run.objects.filter(pk=run.pk).update(
        agent_version_id=version_id,
        super_step=run.super_step,
        event_seq=run.event_seq + 1,
        **(queued if was_parked else {}),
    )
    RunEvent(
        tenant_id=run.tenant_id,
        run_id=run.pk,
        seq=run.event_seq + 1,
        type=what,
        data={**facts, "super_step": run.super_step, "by": by.name},
    ).save(force_insert=True)
    record(by, what, f"run/{run.pk}", {**facts, "super_step": run.super_step})
    if was_parked:
        queue_again(run.tenant_id, run.pk)
