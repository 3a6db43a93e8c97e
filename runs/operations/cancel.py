"""Cancel a run: no effect begins after it is confirmed."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db import connection

from policy import tenancy
from policy.audit import record
from policy.core.actor import Actor
from policy.core.outcomes import ErrorClass
from runs.core.lifecycle import FINAL, RunState
from runs.errors import IllegalMove, UnknownRun
from runs.models import Run
from runs.nudging import nudge


def cancel_run(run_id: UUID, *, by: Actor, reason: str, now: datetime) -> RunState:
    """End a run that nobody holds, or ask whoever holds it to end it at the next boundary.

    Gives the state reached: `cancelled`, or `running` while the holder is being asked.
    Asking again is harmless.

    Raises:
        UnknownRun: this tenant has no such run.
        IllegalMove: it has ended.
    """
    run = Run.objects.select_for_update(no_key=True).filter(pk=run_id).first()
    if run is None:
        raise UnknownRun(f"there is no run {run_id}")
    if run.state in FINAL:
        raise IllegalMove(run.state, "cancelled")
    record(by, "run.cancel_requested", f"run/{run_id}", {"reason": reason})
    if run.state == RunState.RUNNING:
        Run.objects.filter(pk=run_id, cancel_requested_at=None).update(cancel_requested_at=now)
        nudge(run.tenant_id, run_id)
        return RunState.RUNNING
    return _stop(run, by, reason)


def _stop(run: Run, by: Actor, reason: str) -> RunState:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT runs_stop(%s, %s, %s, %s, %s, %s)",
            [
                tenancy.current(),
                run.pk,
                RunState.CANCELLED,
                str(by),
                ErrorClass.CANCELLATION,
                reason,
            ],
        )
        return RunState(cursor.fetchone()[0])
