"""Claims in memory: what a worker needs to go on, and what it takes again itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from runs.core.effects import EffectState
from runs.core.lifecycle import RunState
from runs.ports import Claimed, Lease, Nudge, Settled
from runs.testing import ledger, rows
from runs.testing.rows import EffectRow, RunRow, TaskRow, stored

if TYPE_CHECKING:
    from runs.testing.store import MemoryStore


def claimed(store: MemoryStore, run: RunRow, worker: str, task: str) -> Claimed:
    """Give what a worker needs to go on with a run, or with a task of it."""
    row = run.tasks.get((run.super_step, task)) if task else None
    lease = Lease(
        tenant_id=run.tenant_id,
        run_id=run.id,
        super_step=run.super_step,
        token=run.token if row is None else row.token,
        worker=worker,
        task=task,
    )
    head = run.checkpoints[run.super_step].head
    return Claimed(
        lease=lease,
        agent_version_id=run.agent_version_id,
        agent=run.agent,
        principal_id=run.principal_id,
        started_by=run.started_by,
        wakeups=run.wakeups,
        deadline=run.deadline,
        now=store.clock(),
        cancel=store.called_off(run),
        policy_version_id=store.policy_version,
        head=stored(head),
        values=rows.values_of(run, head),
        kept=rows.kept_of(run),
        ledger=ledger.recorded(store, run),
        crashes=0 if row is None else row.crashes,
        tenant=run.tenant_id,
        **ledger.made(run),
        above=tuple(store.runs[name].agent_version_id for name in run.ancestors),
    )


def free(
    store: MemoryStore,
    nudge: Nudge,
    lease: Lease | None,
    known: Sequence[Settled],
    worker: str,
) -> None:
    """Let a worker that lost an answer claim again what it holds; see `Store.claim_again`."""
    run = store.runs.get(nudge.run_id)
    if run is None or run.tenant_id != nudge.tenant_id or run.state is not RunState.RUNNING:
        return
    is_whole = not nudge.task
    row = run if is_whole else run.tasks.get((nudge.super_step or 0, nudge.task))
    is_past = bool(run.open_tasks) if is_whole else nudge.super_step != run.super_step
    if row is None or is_past or row.worker != worker:
        return
    if lease is None:
        if any(one.state is EffectState.CLAIMED for one in _written(run, nudge.task, row.token)):
            return
    elif lease.token != row.token:
        return
    else:
        ledger.settle_all(store, run, _unwritten(run, lease, known))
    row.lease_until = None
    if isinstance(row, TaskRow):
        row.state = "pending"


def _written(run: RunRow, task: str, token: int) -> list[EffectRow]:
    """List the effects of the super-step that were written down under a lease."""
    return [
        row
        for row in run.effects.values()
        if row.place.super_step == run.super_step
        and row.token == token
        and task in {"", row.place.task}
    ]


def _unwritten(run: RunRow, lease: Lease, known: Sequence[Settled]) -> list[Settled]:
    """Choose what is news: its effect was written down under the lease, and not what came of it."""
    still = {
        row.place
        for row in _written(run, lease.task, lease.token)
        if row.state is EffectState.CLAIMED
    }
    return [item for item in known if item.place in still]
