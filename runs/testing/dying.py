"""A process that dies on purpose: before its n-th statement that writes."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from policy.core.json import Json, JsonObject
from policy.core.money import Amounts
from runs.broods import Brood, Wait
from runs.core.results import TaskResult
from runs.core.told import Told
from runs.ports import (
    Claimed,
    Joined,
    Lack,
    Lease,
    Nudge,
    Put,
    PutEffect,
    Save,
    Saved,
    Settled,
    Spawned,
    Store,
)


class Died(BaseException):
    """The process is dead: nothing it does from now on reaches anything."""


@dataclass(slots=True)
class Fate:
    """When processes die: the numbers of the writes they do not live to make, from 1 on.

    Writes are counted over all processes, one after the other.
    """

    deaths: frozenset[int] = frozenset()
    writes: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def next_is_death(self) -> bool:
        """Count a write, and say whether it is one that is not lived to see."""
        with self._lock:
            self.writes += 1
            return self.writes in self.deaths


class Mortal:
    """A `Store` as one process sees it, until it dies."""

    def __init__(self, store: Store, fate: Fate) -> None:
        self._store, self._fate = store, fate
        self.is_dead = False

    def pulse(self) -> None:
        """Raise `Died` in a dead process."""
        if self.is_dead:
            raise Died

    def _write(self) -> None:
        self.pulse()
        if self._fate.next_is_death():
            self.is_dead = True
            raise Died

    def claim(self, tenant_id: str, run_id: str, *, worker: str, ttl: float) -> Claimed | None:
        """See `Store.claim`."""
        self._write()
        return self._store.claim(tenant_id, run_id, worker=worker, ttl=ttl)

    def claim_task(self, nudge: Nudge, *, worker: str, ttl: float) -> Claimed | None:
        """See `Store.claim_task`."""
        self._write()
        return self._store.claim_task(nudge, worker=worker, ttl=ttl)

    def claim_again(
        self,
        nudge: Nudge,
        lease: Lease | None,
        known: Sequence[Settled],
        *,
        worker: str,
        ttl: float,
    ) -> Claimed | None:
        """See `Store.claim_again`."""
        self._write()
        return self._store.claim_again(nudge, lease, known, worker=worker, ttl=ttl)

    def read_log(self, run_id: str, tenant_id: str, channel: str, upto: int) -> list[Json]:
        """See `Store.read_log`."""
        self.pulse()
        return self._store.read_log(run_id, tenant_id, channel, upto)

    def read_told(self, lease: Lease, after: int) -> Told:
        """See `Store.read_told`."""
        self.pulse()
        return self._store.read_told(lease, after)

    def put_effect(self, lease: Lease, put: PutEffect, before: Sequence[Settled]) -> Put:
        """See `Store.put_effect`."""
        self._write()
        return self._store.put_effect(lease, put, before)

    def read_lacking(self, lease: Lease, wanted: Amounts) -> list[Lack]:
        """See `Store.read_lacking`."""
        self.pulse()
        return self._store.read_lacking(lease, wanted)

    def take_signal(
        self, lease: Lease, put: PutEffect, before: Sequence[Settled]
    ) -> tuple[Put, JsonObject | None]:
        """See `Store.take_signal`."""
        self._write()
        return self._store.take_signal(lease, put, before)

    def spawn(
        self, lease: Lease, put: PutEffect, brood: Brood, before: Sequence[Settled]
    ) -> Spawned:
        """See `Store.spawn`."""
        self._write()
        return self._store.spawn(lease, put, brood, before)

    def join(self, lease: Lease, put: PutEffect, wait: Wait, before: Sequence[Settled]) -> Joined:
        """See `Store.join`."""
        self._write()
        return self._store.join(lease, put, wait, before)

    def fan_out(self, lease: Lease, tasks: Sequence[str]) -> list[Nudge]:
        """See `Store.fan_out`."""
        self._write()
        return self._store.fan_out(lease, tasks)

    def finish_task(
        self, lease: Lease, result: TaskResult, effects: Sequence[Settled], *, ttl: float
    ) -> Claimed | None:
        """See `Store.finish_task`."""
        self._write()
        return self._store.finish_task(lease, result, effects, ttl=ttl)

    def save(self, lease: Lease, save: Save, *, ttl: float) -> Saved:
        """See `Store.save`."""
        self._write()
        return self._store.save(lease, save, ttl=ttl)

    def release(self, lease: Lease, effects: Sequence[Settled]) -> Nudge:
        """See `Store.release`."""
        self._write()
        return self._store.release(lease, effects)
