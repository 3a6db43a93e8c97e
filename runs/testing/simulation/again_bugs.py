"""Bugs put in on purpose where a worker that lost an answer takes its run again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from runs.ports import Claimed, Lease, Nudge, Settled
from runs.testing import claiming, ledger
from runs.testing.store import MemoryStore


class _TakesFromOthers(MemoryStore):
    def _free(
        self, nudge: Nudge, lease: Lease | None, known: Sequence[Settled], worker: str
    ) -> None:
        run = self.runs[nudge.run_id]
        row = run.tasks.get((nudge.super_step or 0, nudge.task)) if nudge.task else run
        claiming.free(self, nudge, lease, known, (row and row.worker) or worker)


class _OldToken(MemoryStore):
    def claim_again(
        self,
        nudge: Nudge,
        lease: Lease | None,
        known: Sequence[Settled],
        *,
        worker: str,
        ttl: float,
    ) -> Claimed | None:
        won = super().claim_again(nudge, lease, known, worker=worker, ttl=ttl)
        if won is None or lease is None or won.lease.task:
            return won
        self.runs[nudge.run_id].token = lease.token
        return replace(won, lease=replace(won.lease, token=lease.token))


class _SettlesBlindly(MemoryStore):
    def _free(
        self, nudge: Nudge, lease: Lease | None, known: Sequence[Settled], worker: str
    ) -> None:
        run = self.runs[nudge.run_id]
        if lease is not None and run.worker == worker and run.token == lease.token:
            there = [item for item in known if item.place in run.effects]
            ledger.settle_all(self, run, there)
        super()._free(nudge, lease, (), worker)


AGAIN: Final[Mapping[str, tuple[str, type[MemoryStore]]]] = {
    "again_from_others": ("what another worker holds is claimed again", _TakesFromOthers),
    "again_under_the_old_token": ("a run is claimed again under its old token", _OldToken),
    "again_settled_blindly": ("what was written down is settled again", _SettlesBlindly),
}
