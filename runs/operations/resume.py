"""Let a parked run go on, after somebody mended what stopped it."""

from __future__ import annotations

from uuid import UUID

from django.db.models.functions import Now

from policy.audit import record
from policy.core.actor import Actor
from runs.core.lifecycle import Reason, RunState
from runs.errors import IllegalMove, UnknownRun
from runs.models import Run, RunEvent, Task
from runs.nudging import queue_again

PARKED = (Reason.POISON, Reason.VERSION)


def resume_run(run_id: UUID, *, by: Actor, reason: str) -> None:
    """Queue a run that was parked as poison or for its version, its crashes forgotten.

    Raises:
        UnknownRun: this tenant has no such run.
        IllegalMove: it is not parked.
    """
    run = Run.objects.select_for_update(no_key=True).filter(pk=run_id).first()
    if run is None:
        raise UnknownRun(f"there is no run {run_id}")
    if run.state != RunState.INTERRUPTED or run.reason not in PARKED:
        raise IllegalMove(run.state, "resumed")
    Run.objects.filter(pk=run_id).update(
        state=RunState.QUEUED,
        reason="",
        due_at=None,
        crashes=0,
        nudged_at=Now(),
        error_class="",
        error_detail="",
        event_seq=run.event_seq + 1,
    )
    Task.objects.filter(run_id=run_id, super_step=run.super_step).update(crashes=0)
    RunEvent(
        tenant_id=run.tenant_id,
        run_id=run_id,
        seq=run.event_seq + 1,
        type="run.resumed",
        data={"by": by.name, "reason": reason},
    ).save(force_insert=True)
    record(by, "run.resumed", f"run/{run_id}", {"reason": reason})
    queue_again(run.tenant_id, run_id)
