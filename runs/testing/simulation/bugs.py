"""Bugs put in on purpose: each breaks one promise, and the simulation must find it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from policy.core.json import Json
from policy.core.money import Amounts, Limits
from runs.core.effects import EffectState
from runs.core.lifecycle import HELD_BACK, RunState
from runs.core.results import Finished, TaskResult
from runs.errors import LeaseLost
from runs.ports import Claimed, Lease, Nudge, Put, PutEffect, Save, Saved, Settled
from runs.testing import ledger
from runs.testing.people import Left
from runs.testing.rows import EffectRow, RunRow
from runs.testing.simulation.again_bugs import AGAIN
from runs.testing.simulation.family_bugs import STORES
from runs.testing.store import MemoryStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Bug:
    """A way to be wrong: in the store, or in what stands around it."""

    what: str
    store: type[MemoryStore] = MemoryStore
    mints_keys: bool = False
    blind_to: frozenset[Left] = frozenset()
    sender_forgets: bool = False
    relay_forgets: bool = False
    keeps_answers: bool = False
    undoes_nothing: bool = False
    decides_twice: bool = False


class _NoFencing(MemoryStore):
    def _holds(self, lease: Lease) -> RunRow:
        run = self.runs[lease.run_id]
        if run.open_tasks:
            raise LeaseLost(lease.run_id, lease.token)
        return run


class _TokenStays(MemoryStore):
    def claim(self, tenant_id: str, run_id: str, *, worker: str, ttl: float) -> Claimed | None:
        claimed = super().claim(tenant_id, run_id, worker=worker, ttl=ttl)
        if claimed is None or claimed.lease.token == 1:
            return claimed
        self.runs[run_id].token = 1
        return replace(claimed, lease=replace(claimed.lease, token=1))


class _LedgerAfterCall(MemoryStore):
    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._unwritten: dict[tuple[str, Any], PutEffect] = {}

    def put_effect(self, lease: Lease, put: PutEffect, before: Sequence[Settled]) -> Put:
        self._write(lease, before)
        if put.state is not EffectState.CLAIMED:
            return super().put_effect(lease, put, before)
        self._unwritten[lease.run_id, put.place] = put
        return super().put_effect(lease, replace(put, state=EffectState.RETRYING), before)

    def _write(self, lease: Lease, settled: Sequence[Settled]) -> None:
        for item in settled:
            if (put := self._unwritten.pop((lease.run_id, item.place), None)) is not None:
                super().put_effect(lease, put, ())

    def save(self, lease: Lease, save: Save, *, ttl: float) -> Saved:
        self._write(lease, save.effects)
        return super().save(lease, save, ttl=ttl)

    def finish_task(
        self, lease: Lease, result: TaskResult, effects: Sequence[Settled], *, ttl: float
    ) -> Claimed | None:
        self._write(lease, effects)
        return super().finish_task(lease, result, effects, ttl=ttl)


class _JoinCountedTwice(MemoryStore):
    def finish_task(
        self, lease: Lease, result: TaskResult, effects: Sequence[Settled], *, ttl: float
    ) -> Claimed | None:
        run = self.runs[lease.run_id]
        if run.tasks[lease.super_step, lease.task].token > 1 and run.open_tasks > 1:
            run.open_tasks -= 1
        return super().finish_task(lease, result, effects, ttl=ttl)


class _CheckedThenSpent(MemoryStore):
    def put_effect(self, lease: Lease, put: PutEffect, before: Sequence[Settled]) -> Put:
        limits = {name: balance.limits for name, balance in self.budgets.items()}
        for name, balance in self.budgets.items():
            cost = balance.limits.cost
            fits = cost is None or balance.spent.cost + put.reserve.cost <= cost
            if fits:
                self.budgets[name] = replace(balance, limits=Limits())
        answer = super().put_effect(lease, put, before)
        for name, old in limits.items():
            self.budgets[name] = replace(self.budgets[name], limits=old)
        return answer


class _ReservedIsGone(MemoryStore):
    def put_effect(self, lease: Lease, put: PutEffect, before: Sequence[Settled]) -> Put:
        answer = super().put_effect(lease, put, before)
        return Put.COST if answer is Put.RESERVED else answer


class _SettledTwice(MemoryStore):
    def spend(self, run: RunRow, row: EffectRow, *, actual: Amounts) -> None:
        super().spend(run, row, actual=actual)
        ledger.book(self.budgets, run.budgets, replace(row, reserved=Amounts()), actual)


class _SettlingDropped(MemoryStore):
    def spend(self, run: RunRow, row: EffectRow, *, actual: Amounts) -> None:
        """Forget it."""


class _ApprovalNotBound(MemoryStore):
    def _claimed(self, run: RunRow, worker: str, task: str = "") -> Claimed:
        claimed = super()._claimed(run, worker, task)
        if not any(a.state == "approved" for a in self.approvals.values() if a.run_id == run.id):
            return claimed
        rows = [
            replace(r, approval="approved") if r.state is EffectState.HELD else r
            for r in claimed.ledger
        ]
        return replace(claimed, ledger=rows)


class _OnceRepeated(MemoryStore):
    def _claimed(self, run: RunRow, worker: str, task: str = "") -> Claimed:
        claimed = super()._claimed(run, worker, task)
        rows = [
            replace(r, state=EffectState.RETRYING) if r.state is EffectState.CLAIMED else r
            for r in claimed.ledger
        ]
        return replace(claimed, ledger=rows)


class _CancelIgnored(MemoryStore):
    def put_effect(self, lease: Lease, put: PutEffect, before: Sequence[Settled]) -> Put:
        run = self.runs[lease.run_id]
        was, run.cancel = run.cancel, False
        answer = super().put_effect(lease, put, before)
        run.cancel = was
        return answer


class _WritesDropped(MemoryStore):
    def finish_task(
        self, lease: Lease, result: TaskResult, effects: Sequence[Settled], *, ttl: float
    ) -> Claimed | None:
        row = self.runs[lease.run_id].tasks[lease.super_step, lease.task]
        if isinstance(result, Finished) and row.crashes:
            result = replace(result, writes={})
        return super().finish_task(lease, result, effects, ttl=ttl)


class _WakeLost(MemoryStore):
    def save(self, lease: Lease, save: Save, *, ttl: float) -> Saved:
        return super().save(lease, replace(save, wakeups=self.runs[lease.run_id].wakeups), ttl=ttl)


class _FinishingOrder(MemoryStore):
    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._finished: dict[tuple[str, int], list[TaskResult]] = {}

    def finish_task(
        self, lease: Lease, result: TaskResult, effects: Sequence[Settled], *, ttl: float
    ) -> Claimed | None:
        whole = super().finish_task(lease, result, effects, ttl=ttl)
        finished = self._finished.setdefault((lease.run_id, lease.super_step), [])
        finished.append(result)
        if whole is None:
            return None
        return replace(whole, kept=dict(zip(sorted(whole.kept), finished, strict=False)))


class _LogForgotten(MemoryStore):
    def read_log(self, run_id: str, tenant_id: str, channel: str, upto: int) -> list[Json]:
        return super().read_log(run_id, tenant_id, channel, upto)[1:]


class _EndedMoves(MemoryStore):
    def is_claimable(self, run: RunRow) -> bool:
        return run.state == "succeeded" or super().is_claimable(run)


class _LineJumped(MemoryStore):
    def is_claimable(self, run: RunRow) -> bool:
        return run.queue_at is not None or super().is_claimable(run)


class _SeatLost(MemoryStore):
    def _move(self, run: RunRow, state: RunState, save: Save, ttl: float) -> list[Nudge]:
        if state in HELD_BACK and self.hall.seats is not None:
            self.hall.seats -= 1
        return super()._move(run, state, save, ttl)


NONE: Final = Bug(what="no bug")

BUGS: Final[Mapping[str, Bug]] = {
    "no_fencing": Bug(what="a save under an old token counts", store=_NoFencing),
    "token_stays": Bug(what="a new claim gets the old token", store=_TokenStays),
    "lost_message": Bug(
        what="a message that the broker lost is never sent again",
        blind_to=frozenset({Left.UNHEARD}),
    ),
    "ack_before_commit": Bug(
        what="a message is acknowledged, its worker dies, and nobody finds its run",
        blind_to=frozenset({Left.UNHELD}),
    ),
    "outbox_row_lost": Bug(
        what="a message that the broker refused does not stay in the outbox", sender_forgets=True
    ),
    "relay_forgets": Bug(
        what="the relay removes messages that it could not send", relay_forgets=True
    ),
    "group_dropped_with_one": Bug(
        what="a group is rolled back for one part, and the others are told it was done",
        keeps_answers=True,
    ),
    "group_done_twice": Bug(
        what="a group that is not rolled back is done again part by part", undoes_nothing=True
    ),
    "key_minted": Bug(what="each attempt has a key of its own", mints_keys=True),
    "ledger_after_call": Bug(what="written down after the call", store=_LedgerAfterCall),
    "join_counted_twice": Bug(what="a repeated task counts twice", store=_JoinCountedTwice),
    "checked_then_spent": Bug(what="what is reserved is not counted", store=_CheckedThenSpent),
    "reserved_is_gone": Bug(what="what is only set aside is exhausted", store=_ReservedIsGone),
    "settled_twice": Bug(what="a call is booked twice", store=_SettledTwice),
    "settling_dropped": Bug(what="money is never given back", store=_SettlingDropped),
    "approval_not_bound": Bug(what="one approval serves all calls", store=_ApprovalNotBound),
    "decided_twice": Bug(what="a second decision counts", decides_twice=True),
    "once_repeated": Bug(what="a lost call is made again, whatever it is", store=_OnceRepeated),
    "cancel_ignored": Bug(what="effects begin after a cancellation", store=_CancelIgnored),
    "writes_dropped": Bug(what="a repeated task loses its writes", store=_WritesDropped),
    "wake_lost": Bug(what="news between look and set-aside is missed", store=_WakeLost),
    "finishing_order": Bug(what="results are merged as they finish", store=_FinishingOrder),
    "log_forgotten": Bug(what="a log loses its beginning", store=_LogForgotten),
    "line_jumped": Bug(what="a run is begun while it stands in line", store=_LineJumped),
    "seat_lost": Bug(what="a run that waits keeps its seat", store=_SeatLost),
    "ended_moves": Bug(what="an ended run is claimed again", store=_EndedMoves),
} | {name: Bug(what=what, store=store) for name, (what, store) in {**STORES, **AGAIN}.items()}
