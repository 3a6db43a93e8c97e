"""Celery's door to the engine. Translates; does not think."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from celery import shared_task
from celery.worker.control import inspect_command

from policy.operations.deliver import deliver
from runs.artifacts.here import kept_here
from runs.artifacts.probing import PROBE, unseen
from runs.operations.backtest import carry_out
from runs.outbox import ADVANCE, BACKTEST, DELIVER
from runs.ports import Nudge
from runs.process import follow


@shared_task(name=ADVANCE, ignore_result=True)
def advance_run(
    *, tenant_id: str, run_id: str, super_step: int | None = None, task: str = "", **_: object
) -> None:
    """Nudge a run forward. Losing, doubling or delaying this message is harmless."""
    follow(Nudge(tenant_id=tenant_id, run_id=run_id, super_step=super_step, task=task))


@shared_task(name=BACKTEST, bind=True, ignore_result=False)
def run_backtest(self: Any, /, *, tenant_id: str, backtest_id: str, **_: object) -> str:
    """Carry a backtest out. Its row is the truth; Celery's result repeats how far it is."""

    def tell(judged: int, total: int) -> None:
        self.update_state(state="PROGRESS", meta={"runs_judged": judged, "runs_total": total})

    return carry_out(UUID(tenant_id), UUID(backtest_id), tell)


@shared_task(name=DELIVER, ignore_result=True)
def deliver_notice(*, tenant_id: str, notice_id: str, **_: object) -> str:
    """Try a notice that is due. Losing, doubling or delaying this message is harmless."""
    return deliver(UUID(tenant_id), UUID(notice_id))


@inspect_command(name=PROBE, args=[("key", str)])
def look_for_probe(_state: Any, key: str) -> dict[str, str]:
    """Say why this worker does not read a probe of the storage of artifacts; `doctor` asks."""
    return {"why": unseen(kept_here().storage, key)}
