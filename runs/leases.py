"""Leases: at most one worker may commit to a run.

    free ──claim──▶ held(n) ──save──▶ free
                      │ expires
                      ▼
                    held(n+1)          whoever claims next

The database decides who holds a run, by its own clock. A keeper renews all leases of a
process in one statement from a thread of its own, so that a worker busy with a long
call keeps its run. If renewing fails, the leases expire and somebody else goes on;
whatever the old holder still writes names an old token and changes nothing. Renewing also
tells which runs were taken by others or called off: their work is cut by its brake.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import structlog

from runs.brake import Brake, Cut
from runs.ports import Lease, Renewed

log = structlog.get_logger()

Renew = Callable[[Sequence[Lease]], Renewed]


class LeaseKeeper:
    """Renews what this process holds, every third of a lease's time."""

    def __init__(self, renew: Renew, *, ttl: float) -> None:
        self._renew, self._pause = renew, ttl / 3
        self._held: dict[int, tuple[Lease, Brake]] = {}
        self._lock = threading.Lock()
        self._hurry = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="leases", daemon=True)
        self._thread.start()

    @contextmanager
    def keeping(self, lease: Lease, brake: Brake) -> Iterator[None]:
        """Keep a lease from expiring while this block runs; the brake stops its work."""
        handle = id(brake)
        with self._lock:
            self._held[handle] = (lease, brake)
        try:
            yield
        finally:
            with self._lock:
                self._held.pop(handle, None)

    def held(self) -> list[Lease]:
        """List what this process holds now."""
        return [lease for lease, _ in self._now()]

    def holds(self, run_id: str, task: str) -> bool:
        """Say whether a thread of this process works at a run ('') or at a task of it."""
        return any((lease.run_id, lease.task) == (run_id, task) for lease in self.held())

    def look_at(self, run_id: str) -> None:
        """Renew now if this process holds the run: somebody called upon it."""
        if any(lease.run_id == run_id for lease in self.held()):
            self._hurry.set()

    def stop_all(self, why: Cut) -> None:
        """Cut everything that is under way."""
        for _, brake in self._now():
            brake.pull(why)

    def close(self) -> None:
        """Stop renewing."""
        self._closing = True
        self._hurry.set()
        self._thread.join()

    def _now(self) -> list[tuple[Lease, Brake]]:
        with self._lock:
            return list(self._held.values())

    def _run(self) -> None:
        while True:
            self._hurry.wait(self._pause)
            if self._closing:
                return
            self._hurry.clear()
            self._renew_all()

    def _renew_all(self) -> None:
        held = self._now()
        if not held:
            return
        try:
            found = self._renew([lease for lease, _ in held])
        except Exception:
            log.warning("leases.not_renewed", held=len(held), exc_info=True)
            return
        for lease, brake in held:
            if lease in found.lost:
                brake.pull(Cut.LEASE_LOST)
            elif lease in found.cancelled:
                brake.pull(Cut.CANCELLED)
