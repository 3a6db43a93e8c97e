"""Leases: at most one worker may commit to a run.

    free ──claim──▶ held(n) ──save──▶ free
                      │ expires
                      ▼
                    held(n+1)          whoever claims next

The database decides who holds a run, by its own clock. A keeper renews all leases of a
process in one statement from a thread of its own, so that a worker busy with a long
call keeps its run. If renewing fails, the leases expire and somebody else goes on;
whatever the old holder still writes names an old token and changes nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import structlog

from runs.ports import Lease

log = structlog.get_logger()

Renew = Callable[[Sequence[Lease]], None]


class LeaseKeeper:
    """Renews what this process holds, every third of a lease's time."""

    def __init__(self, renew: Renew, *, ttl: float) -> None:
        self._renew, self._pause = renew, ttl / 3
        self._held: dict[int, Lease] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="leases", daemon=True)
        self._thread.start()

    @contextmanager
    def keeping(self, lease: Lease) -> Iterator[None]:
        """Keep a lease from expiring while this block runs."""
        handle = id(lease)
        with self._lock:
            self._held[handle] = lease
        try:
            yield
        finally:
            with self._lock:
                self._held.pop(handle, None)

    def held(self) -> list[Lease]:
        """List what this process holds now."""
        with self._lock:
            return list(self._held.values())

    def close(self) -> None:
        """Stop renewing."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._pause):
            if held := self.held():
                try:
                    self._renew(held)
                except Exception:
                    log.warning("leases.not_renewed", held=len(held), exc_info=True)
