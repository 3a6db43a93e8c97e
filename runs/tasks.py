"""Celery's door to the engine. Translates; does not think."""

from __future__ import annotations

from celery import shared_task

from runs import faults
from runs.outbox import ADVANCE
from runs.ports import Nudge
from runs.process import engine


@shared_task(name=ADVANCE, ignore_result=True)
def advance_run(
    *, tenant_id: str, run_id: str, super_step: int | None = None, task: str = "", **_: object
) -> str:
    """Nudge a run forward. Losing, doubling or delaying this message is harmless."""
    nudge = Nudge(tenant_id=tenant_id, run_id=run_id, super_step=super_step, task=task)
    advanced = engine().advance(nudge)
    faults.point("nudge.done")
    return advanced
