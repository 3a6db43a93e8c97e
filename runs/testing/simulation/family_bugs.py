"""Bugs put in on purpose about children, signals, timers and poison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final

from policy.core.json import JsonObject
from runs.broods import Brood, Wait
from runs.core.effects import EffectKind
from runs.core.lifecycle import FINAL, RunState
from runs.ports import Claimed, Joined, Lease, Nudge, Put, PutEffect, Save, Settled, Spawned
from runs.testing.rows import RunRow
from runs.testing.store import MemoryStore


class _ChildCountedTwice(MemoryStore):
    def _move(self, run: RunRow, state: RunState, save: Save, ttl: float) -> list[Nudge]:
        left = super()._move(run, state, save, ttl)
        if state in FINAL and run.token > 1 and run.join_id:
            self.joins[run.join_id].succeeded += 1
        return left


class _ChildLeftRunning(MemoryStore):
    def called_off(self, run: RunRow) -> bool:
        return run.cancel


class _BornAgain(MemoryStore):
    def spawn(
        self, lease: Lease, put: PutEffect, brood: Brood, before: Sequence[Settled]
    ) -> Spawned:
        spawned = super().spawn(lease, put, brood, before)
        if spawned.put is Put.OK:
            del self.runs[lease.run_id].effects[put.place]
        return spawned


class _JoinedEarly(MemoryStore):
    def join(self, lease: Lease, put: PutEffect, wait: Wait, before: Sequence[Settled]) -> Joined:
        return super().join(lease, put, replace(wait, want_succeeded=1), before)


class _ChildSpendsApart(MemoryStore):
    def spawn(
        self, lease: Lease, put: PutEffect, brood: Brood, before: Sequence[Settled]
    ) -> Spawned:
        spawned = super().spawn(lease, put, brood, before)
        for child in brood.children if spawned.put is Put.OK else ():
            self.runs[child.id].budgets = [child.budget_id]
        return spawned


class _ChildOutlives(MemoryStore):
    def spawn(
        self, lease: Lease, put: PutEffect, brood: Brood, before: Sequence[Settled]
    ) -> Spawned:
        spawned = super().spawn(lease, put, brood, before)
        for child in brood.children if spawned.put is Put.OK else ():
            self.runs[child.id].deadline = None
        return spawned


class _ClockLost(MemoryStore):
    def _move(self, run: RunRow, state: RunState, save: Save, ttl: float) -> list[Nudge]:
        sent = super()._move(run, state, save, ttl)
        run.deadline_left = None
        return sent


class _ClockFree(MemoryStore):
    def claim(self, tenant_id: str, run_id: str, *, worker: str, ttl: float) -> Claimed | None:
        claimed = super().claim(tenant_id, run_id, worker=worker, ttl=ttl)
        run = self.runs[run_id]
        if claimed is not None and run.ancestors and run.deadline is not None:
            run.deadline += timedelta(seconds=1)
        return claimed


class _SignalTakenTwice(MemoryStore):
    def take_signal(
        self, lease: Lease, put: PutEffect, before: Sequence[Settled]
    ) -> tuple[Put, JsonObject | None]:
        answer, signal = super().take_signal(lease, put, before)
        for row in self.runs[lease.run_id].signals.values():
            row.taken_by = None
        return answer, signal


class _SignalForgotten(MemoryStore):
    def take_signal(
        self, lease: Lease, put: PutEffect, before: Sequence[Settled]
    ) -> tuple[Put, JsonObject | None]:
        run = self.runs[lease.run_id]
        run.signals = {k: s for k, s in run.signals.items() if s.taken_by != put.place}
        return super().take_signal(lease, put, before)


class _WakesEarly(MemoryStore):
    def _claimed(self, run: RunRow, worker: str, task: str = "") -> Claimed:
        claimed = super()._claimed(run, worker, task)
        return replace(claimed, now=claimed.now + timedelta(minutes=5))


class _NeverParked(MemoryStore):
    def claim(self, tenant_id: str, run_id: str, *, worker: str, ttl: float) -> Claimed | None:
        if run_id in self.runs:
            self.runs[run_id].crashes = 0
        return super().claim(tenant_id, run_id, worker=worker, ttl=ttl)


class _ParentNotCalled(MemoryStore):
    def is_claimable(self, run: RunRow) -> bool:
        waits = any(
            row.kind is EffectKind.JOIN and row.state == "held" for row in run.effects.values()
        )
        is_called = run.state is RunState.WAITING and waits
        return not is_called and super().is_claimable(run)


STORES: Final[Mapping[str, tuple[str, type[MemoryStore]]]] = {
    "child_counted_twice": ("an end of a child counts twice", _ChildCountedTwice),
    "child_left_running": ("children go on without their parent", _ChildLeftRunning),
    "born_again": ("the ledger does not know of children", _BornAgain),
    "joined_early": ("a join is over with its first success", _JoinedEarly),
    "child_spends_apart": ("a child spends nobody's money", _ChildSpendsApart),
    "child_outlives": ("a child has no deadline", _ChildOutlives),
    "clock_lost": ("a deadline that stood still is forgotten", _ClockLost),
    "clock_free": ("a child has more time each time it goes on", _ClockFree),
    "signal_taken_twice": ("a signal serves two waits", _SignalTakenTwice),
    "signal_forgotten": ("a signal is lost with the worker that took it", _SignalForgotten),
    "wakes_early": ("a sleep is cut short", _WakesEarly),
    "never_parked": ("crashes are not counted", _NeverParked),
    "parent_not_called": ("nobody calls upon a parent", _ParentNotCalled),
}
