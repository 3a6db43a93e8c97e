"""Runs in memory: the same statements as `runs/sql`, over dictionaries and a given clock.

For the tests of agents' authors. `tests/contract` says the same of it and of PostgreSQL's.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final

from policy.core.json import Json, JsonObject
from policy.core.money import Amounts, Balance, Limits
from runs.broods import Brood, Wait
from runs.core import results
from runs.core.checkpoint import Checkpoint, encode
from runs.core.lifecycle import FINAL, HELD_BACK, Reason, RunState
from runs.core.results import TaskResult
from runs.core.told import Told
from runs.errors import LeaseLost
from runs.ports import (
    Claimed,
    Joined,
    Lack,
    Lease,
    Nudge,
    Put,
    PutEffect,
    Renewed,
    Save,
    Saved,
    Settled,
    Spawned,
)
from runs.shell import Clock
from runs.testing import admission, children, claiming, clocks, ledger, rows, told
from runs.testing.rows import (
    ApprovalRow,
    CheckpointRow,
    JoinRow,
    Outbox,
    RunRow,
    TaskRow,
    stored,
)

CRASH_LIMIT: Final = 5


class MemoryStore:
    """A `Store` in memory. What people do to runs is in `runs.testing.people`."""

    def __init__(self, clock: Clock, *, policy_version: str | None = "memory") -> None:
        self.clock, self.policy_version = clock, policy_version
        self.hall = admission.Hall()
        self.lock = threading.RLock()
        self.runs: dict[str, RunRow] = {}
        self.approvals: dict[str, ApprovalRow] = {}
        self.budgets: dict[str, Balance] = {}
        self.agent_budgets: dict[str, str] = {}
        self.joins: dict[str, JoinRow] = {}
        self.outbox = Outbox()

    def start(
        self, run: RunRow, first: Checkpoint, *, budgets: Mapping[str, Limits] | None = None
    ) -> None:
        """Accept a run; budgets that are not known yet begin here."""
        with self.lock:
            new = {name: Balance(limits=limits) for name, limits in (budgets or {}).items()}
            self.budgets, run.budgets = new | self.budgets, sorted(new)
            run.checkpoints[0] = CheckpointRow(
                head=stored(encode(first)), writes=stored(dict(first.channels)), token=0
            )
            self.runs[run.id] = run
            run.emit("run.queued", {"agent": run.agent})
            admission.requeue(self, run)

    # --- Leases ------------------------------------------------------------------------------

    def claim(self, tenant_id: str, run_id: str, *, worker: str, ttl: float) -> Claimed | None:
        """Win the run's lease, or None if somebody holds it or it waits or has ended."""
        with self.lock:
            run = self._run(tenant_id, run_id)
            if run is None or not self.is_claimable(run):
                return None
            clocks.start(self, run)
            run.crashes += run.state is RunState.RUNNING and run.lease_until is not None
            run.state, run.reason, run.token = RunState.RUNNING, Reason.NONE, run.token + 1
            run.due_at = run.queue_at = None
            self._hold(run, worker, ttl)
            children.forget_wants(self, run)
            if run.token == 1:
                run.emit("run.started", {"worker": worker})
            if run.crashes >= CRASH_LIMIT and not self.called_off(run):
                self._poison(run)
                return None
            return self._claimed(run, worker)

    def claim_task(self, nudge: Nudge, *, worker: str, ttl: float) -> Claimed | None:
        """Win one task's lease, or None if it is held, settled or of another super-step."""
        with self.lock:
            run = self._run(nudge.tenant_id, nudge.run_id)
            if run is None or run.state is not RunState.RUNNING:
                return None
            row = run.tasks.get((run.super_step, nudge.task))
            if row is None or run.super_step != nudge.super_step:
                return None
            if row.state != "pending" and not (row.state == "running" and self._over(row)):
                return None
            row.crashes += row.state == "running"
            row.state, row.worker, row.token = "running", worker, row.token + 1
            row.lease_until = self.clock() + timedelta(seconds=ttl)
            return self._claimed(run, worker, nudge.task)

    def claim_again(
        self,
        nudge: Nudge,
        lease: Lease | None,
        known: Sequence[Settled],
        *,
        worker: str,
        ttl: float,
    ) -> Claimed | None:
        """Win a run or task after the store went away; see `Store.claim_again`."""
        with self.lock:
            self._free(nudge, lease, known, worker)
            if nudge.task:
                return self.claim_task(nudge, worker=worker, ttl=ttl)
            return self.claim(nudge.tenant_id, nudge.run_id, worker=worker, ttl=ttl)

    def renew(self, leases: Sequence[Lease], *, ttl: float) -> Renewed:
        """Keep leases from expiring; say which are lost or called off."""
        until = self.clock() + timedelta(seconds=ttl)
        lost, cancelled = set(), set()
        with self.lock:
            for lease in leases:
                try:
                    run = self._task_of(lease) if lease.task else self._holds(lease)
                except LeaseLost:
                    lost.add(lease)
                    continue
                row = run.tasks[lease.super_step, lease.task] if lease.task else run
                row.lease_until = until
                if self.called_off(run):
                    cancelled.add(lease)
        return Renewed(lost=frozenset(lost), cancelled=frozenset(cancelled))

    def release(self, lease: Lease, effects: Sequence[Settled]) -> Nudge:
        """Give a run or a task back unfinished; see `Store.release`."""
        with self.lock:
            run = self._task_of(lease) if lease.task else self._held(lease)
            ledger.settle_all(self, run, effects)
            run.emit("run.released", {"worker": lease.worker, "task": lease.task})
            if lease.task:
                row = run.tasks[run.super_step, lease.task]
                row.state, row.worker, row.lease_until = "pending", None, None
            else:
                run.state = RunState.QUEUED
                run.free()
            return self.outbox.leave(run, lease.task)

    def fan_out(self, lease: Lease, tasks: Sequence[str]) -> list[Nudge]:
        """Give the run's lease back and open its tasks; see `Store.fan_out`."""
        with self.lock:
            run = self._held(lease)
            run.open_tasks, run.wakeups_seen = len(tasks), run.wakeups
            run.free()
            for task in tasks:
                row = run.tasks.setdefault((run.super_step, task), TaskRow())
                row.state, row.result = "pending", None
            return [self.outbox.leave(run, task) for task in tasks]

    def finish_task(
        self, lease: Lease, result: TaskResult, effects: Sequence[Settled], *, ttl: float
    ) -> Claimed | None:
        """Keep a task's result; the last task to finish wins the run's lease."""
        kept = results.from_json(stored(results.to_json(result)))
        with self.lock:
            run = self._run(lease.tenant_id, lease.run_id)
            if run is None or not self._holds_task(run, lease) or not run.open_tasks:
                raise LeaseLost(lease.run_id, lease.token)
            row = run.tasks[run.super_step, lease.task]
            row.state, row.result, row.worker, row.lease_until = "settled", kept, None, None
            ledger.settle_all(self, run, effects)
            run.open_tasks -= 1
            if run.open_tasks:
                return None
            run.token += 1
            self._hold(run, lease.worker, ttl)
            # What woke the run since the fan-out is news: it must not be set aside for that.
            return replace(self._claimed(run, lease.worker), wakeups=run.wakeups_seen)

    # --- What happens in a super-step --------------------------------------------------------

    def put_effect(self, lease: Lease, put: PutEffect, before: Sequence[Settled]) -> Put:
        """Write an effect down, and what came of effects `before` it, in one commit."""
        with self.lock:
            run = self._writer(lease)
            return Put.LEASE_LOST if run is None else ledger.put(self, run, lease, put, before)

    def read_lacking(self, lease: Lease, wanted: Amounts) -> list[Lack]:
        """Read which budgets above a run lack something for good; see `Store.read_lacking`."""
        with self.lock:
            return ledger.lacking(self, self.runs[lease.run_id], wanted)

    def take_signal(
        self, lease: Lease, put: PutEffect, before: Sequence[Settled]
    ) -> tuple[Put, JsonObject | None]:
        """Write down that a signal is waited for, and take one; see `Store.take_signal`."""
        with self.lock:
            answer = self.put_effect(lease, put, before)
            signals = self.runs[lease.run_id].signals.values() if answer is Put.OK else ()
            mine = [s for s in signals if s.taken_by == put.place]
            free = [s for s in signals if s.taken_by is None and s.name == put.name]
            for signal in (mine or free)[:1]:
                signal.taken_by = put.place
                return answer, {"id": signal.id, "payload": stored(signal.payload)}
            return answer, None

    def spawn(
        self, lease: Lease, put: PutEffect, brood: Brood, before: Sequence[Settled]
    ) -> Spawned:
        """Start children and write down the effect that says so; see `Store.spawn`."""
        with self.lock:
            run = self._writer(lease)
            lost = Spawned(put=Put.LEASE_LOST)
            return lost if run is None else children.spawn(self, run, lease, put, brood, before)

    def join(self, lease: Lease, put: PutEffect, wait: Wait, before: Sequence[Settled]) -> Joined:
        """Look at a brood; see `Store.join`."""
        with self.lock:
            run = self._writer(lease)
            lost = Joined(put=Put.LEASE_LOST)
            return lost if run is None else children.join(self, run, lease, put, wait, before)

    def save(self, lease: Lease, save: Save, *, ttl: float) -> Saved:
        """Commit a super-step, or raise LeaseLost and write nothing."""
        head = stored(encode(save.checkpoint)) if save.checkpoint else None
        writes, output = stored(dict(save.writes)), stored(save.output)
        with self.lock:
            run = self._held(lease)
            if self.called_off(run) and (
                save.state in HELD_BACK or save.state is RunState.SUCCEEDED
            ):
                return Saved(
                    state=run.state, wakeups=run.wakeups, cancel=True, sent=None, called_off=True
                )
            news = run.wakeups != save.wakeups and save.state in HELD_BACK
            if run.wakeups != save.wakeups and save.state is RunState.CANCELLED and save.reason:
                return Saved(
                    state=run.state, wakeups=run.wakeups, cancel=False, sent=None, called_upon=True
                )
            ledger.settle_all(self, run, save.effects)
            for task, result in save.kept.items():
                run.tasks[run.super_step, task] = TaskRow(state="settled", result=result)
            if head is not None:
                run.commit(CheckpointRow(head=head, writes=writes, token=lease.token))
            for kind, data in save.events:
                run.emit(kind, data)
            run.output = output if save.state is RunState.SUCCEEDED else run.output
            run.error_class = save.error_class or run.error_class
            run.error_detail = save.error_detail or run.error_detail
            run.crashes = 0
            others = self._move(run, RunState.QUEUED if news else save.state, save, ttl)
            sent = self.outbox.leave(run).outbox_id if run.state is RunState.QUEUED else None
            cancel, state = self.called_off(run), run.state
            return Saved(state=state, wakeups=run.wakeups, cancel=cancel, sent=sent, others=others)

    def _move(self, run: RunRow, state: RunState, save: Save, ttl: float) -> list[Nudge]:
        is_parked = save.reason in {Reason.POISON, Reason.VERSION}
        if state in HELD_BACK and not is_parked and children.has_joined(self, run):
            state = RunState.QUEUED
        run.state, is_held_back = state, state in HELD_BACK
        run.reason = save.reason if is_held_back else Reason.NONE
        run.due_at = save.due_at or ledger.next_period(self, run) if is_held_back else None
        if state is RunState.RUNNING:
            run.lease_until = self.clock() + timedelta(seconds=ttl)
        else:
            run.free()
        if state not in FINAL:
            clocks.stop(self, run)
            return []
        ledger.close(self, run)
        return children.tell_family(self, run)

    def read_log(self, run_id: str, tenant_id: str, channel: str, upto: int) -> list[Json]:
        """Read a log channel's items as of a super-step, oldest first."""
        with self.lock:
            run = self._run(tenant_id, run_id)
            copy: list[Json] = stored([] if run is None else rows.log_of(run, channel, upto))
            return copy

    def read_told(self, lease: Lease, after: int) -> Told:
        """Read what a run was told; see `Store.read_told`."""
        with self.lock:
            return told.read(self, self.runs[lease.run_id], after, lease.super_step)

    # --- Messages ----------------------------------------------------------------------------

    def forget(self, outbox_ids: Iterable[int]) -> None:
        """Remove outbox messages that were sent."""
        with self.lock:
            for number in outbox_ids:
                self.outbox.pop(number, None)

    # --- Conditions --------------------------------------------------------------------------

    def _run(self, tenant_id: str, run_id: str) -> RunRow | None:
        run = self.runs.get(run_id)
        return run if run is not None and run.tenant_id == tenant_id else None

    def is_claimable(self, run: RunRow) -> bool:
        """Say whether a worker may win the run's lease now."""
        is_left = run.state is RunState.RUNNING and not run.open_tasks and self._over(run)
        return is_left or children.calls(self, run) or admission.is_admitted(self, run)

    def called_off(self, run: RunRow) -> bool:
        """Say whether somebody cancelled a run, or one above it is over."""
        return children.called_off(self, run)

    def _over(self, row: RunRow | TaskRow) -> bool:
        return row.lease_until is None or row.lease_until <= self.clock()

    def _held(self, lease: Lease) -> RunRow:
        run = self._holds(lease)
        if run.super_step != lease.super_step:
            raise LeaseLost(lease.run_id, lease.token)
        return run

    def _holds(self, lease: Lease) -> RunRow:
        run = self._run(lease.tenant_id, lease.run_id)
        if (
            run is None
            or run.state is not RunState.RUNNING
            or (run.token, run.open_tasks) != (lease.token, 0)
        ):
            raise LeaseLost(lease.run_id, lease.token)
        return run

    def _writer(self, lease: Lease) -> RunRow | None:
        try:
            return self._task_of(lease) if lease.task else self._held(lease)
        except LeaseLost:
            return None

    def _task_of(self, lease: Lease) -> RunRow:
        run = self._run(lease.tenant_id, lease.run_id)
        if run is None or not self._holds_task(run, lease):
            raise LeaseLost(lease.run_id, lease.token)
        return run

    def _holds_task(self, run: RunRow, lease: Lease) -> bool:
        row = run.tasks.get((lease.super_step, lease.task))
        return (
            run.state is RunState.RUNNING
            and run.super_step == lease.super_step
            and row is not None
            and (row.state, row.token) == ("running", lease.token)
        )

    def _free(
        self, nudge: Nudge, lease: Lease | None, known: Sequence[Settled], worker: str
    ) -> None:
        claiming.free(self, nudge, lease, known, worker)

    def _hold(self, run: RunRow, worker: str, ttl: float) -> None:
        run.worker, run.lease_until = worker, self.clock() + timedelta(seconds=ttl)

    def _poison(self, run: RunRow) -> None:
        run.state, run.reason = RunState.INTERRUPTED, Reason.POISON
        run.free()
        clocks.stop(self, run)
        run.emit("run.parked", {"reason": Reason.POISON, "crashes": run.crashes})

    # --- What a worker needs to go on --------------------------------------------------------

    def _claimed(self, run: RunRow, worker: str, task: str = "") -> Claimed:
        return claiming.claimed(self, run, worker, task)

    def spend(self, run: RunRow, row: rows.EffectRow, *, actual: Amounts) -> None:
        """Settle what was set aside for an effect in every budget above its run."""
        ledger.book(self.budgets, run.budgets, row, actual)

    def open_approvals(self, run_id: str) -> list[ApprovalRow]:
        """List the questions that wait for a person."""
        return [a for a in self.approvals.values() if a.run_id == run_id and a.state == "open"]
