"""Rewind a run to one of its checkpoints: by going on from there, not by removing anything."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.db import connection
from django.db.models.functions import Now

from policy.audit import record
from policy.core.actor import Actor
from policy.core.json import JsonObject
from runs import queries
from runs.core.checkpoint import encode
from runs.core.lifecycle import FINAL, HELD_BACK, RunState
from runs.core.recorded.compensation import Compensation
from runs.core.recorded.travel import rewound
from runs.errors import IllegalMove, StandingEffects, UnknownRun
from runs.models import Checkpoint, Run, RunEvent
from runs.nudging import queue_again
from runs.queries import StandingView


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewind:
    """Where to go back to. `accepting` says that what was done meanwhile may stand."""

    run_id: UUID
    super_step: int
    reason: str = ""
    accepting: bool = False


def rewind_run(command: Rewind, *, by: Actor) -> list[StandingView]:
    """Append a checkpoint that stands for a past one, and queue the run to go on from it.

    Gives the effects that were done since, or may have been: they stay done, where nothing
    compensated them.

    Raises:
        UnknownRun: this tenant has no such run.
        UnknownCheckpoint: the run has no such checkpoint.
        IllegalMove: somebody holds the run, it has ended, or changed its version since.
        StandingEffects: effects since then stay done, and that was not accepted.
    """
    run = Run.objects.select_for_update(no_key=True).filter(pk=command.run_id).first()
    if run is None:
        raise UnknownRun(f"there is no run {command.run_id}")
    _check(run)
    if queries.migrated_after(run.pk, command.super_step):
        raise IllegalMove(run.state, "rewound past its migration; undo that first, or fork it")
    head = encode(rewound(queries.checkpoint_of(run.pk, command.super_step), run.super_step))
    standing = queries.standing(run.pk, command.super_step)
    left = [e for e in standing if e.compensation != Compensation.COMPENSATED]
    if left and not command.accepting:
        raise StandingEffects([f"{effect.name} ({effect.key})" for effect in left])
    _close(run, by)
    _append(run, head)
    facts = {"to": command.super_step, "from": run.super_step, "reason": command.reason}
    RunEvent(
        tenant_id=run.tenant_id,
        run_id=run.pk,
        seq=run.event_seq + 1,
        type="run.rewound",
        data={**facts, "by": by.name},
    ).save(force_insert=True)
    _leave_children(run, command.super_step)
    record(by, "run.rewound", f"run/{run.pk}", {**facts, "standing": [e.key for e in standing]})
    queue_again(run.tenant_id, run.pk)
    return standing


def _check(run: Run) -> None:
    if run.state in FINAL:
        raise IllegalMove(run.state, "rewound, for it never moves again; fork it instead")
    if run.state not in HELD_BACK | {RunState.QUEUED}:
        raise IllegalMove(run.state, "rewound; wait until it is set aside")


def _close(run: Run, by: Actor) -> None:
    """Withdraw its questions, and settle what was not sent and what was not heard of."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT runs_close(%s, %s, %s, %s, 'the run was rewound before it')",
            [run.tenant_id, run.pk, run.budget_ids, str(by)],
        )


def _leave_children(run: Run, super_step: int) -> None:
    """Call off the children that were spawned since: nobody will ever join them."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT runs_leave_children(%s, %s, %s)", [run.tenant_id, run.pk, super_step]
        )


def _append(run: Run, head: JsonObject) -> None:
    Checkpoint(
        tenant_id=run.tenant_id,
        run_id=run.pk,
        super_step=run.super_step + 1,
        fencing_token=run.fencing_token,
        head=head,
        writes={},
    ).save(force_insert=True)
    Run.objects.filter(pk=run.pk).update(
        state=RunState.QUEUED,
        reason="",
        due_at=None,
        crashes=0,
        super_step=run.super_step + 1,
        nudged_at=Now(),
        error_class="",
        error_detail="",
        event_seq=run.event_seq + 1,
    )
