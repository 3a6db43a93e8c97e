"""A brake: how work under way is told, from another thread, that it must stop.

    leases (lost? cancelled?) ──┐
    a worker that shuts down ───┴─▶ pull ──▶ calls and nodes on the I/O loop are cut

A brake is pulled once; what comes later changes nothing.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from enum import StrEnum

from policy.core.outcomes import ErrorClass
from runs.errors import LeaseLost
from runs.ports import Lease
from runs.shell import Released, Stopped


class Cut(StrEnum):
    """Why work is cut."""

    CANCELLED = "cancelled"
    LEASE_LOST = "lease_lost"
    SHUTDOWN = "shutdown"


class Brake:
    """Stops one piece of work: a task of a super-step, with everything it asked for."""

    def __init__(self) -> None:
        self.why: Cut | None = None
        self._calls: dict[int, Callable[[], object]] = {}
        self._lock = threading.Lock()

    def pull(self, why: Cut) -> None:
        """Stop the work; usable from every thread."""
        with self._lock:
            if self.why is not None:
                return
            self.why = why
            calls = list(self._calls.values())
        for call in calls:
            _tell(call)

    @contextlib.contextmanager
    def on(self, call: Callable[[], object]) -> Iterator[None]:
        """Have this called when the brake is pulled while the block runs, from any thread."""
        with self._lock:
            self._calls[id(call)] = call
            is_pulled = self.why is not None
        try:
            if is_pulled:
                _tell(call)
            yield
        finally:
            with self._lock:
                self._calls.pop(id(call), None)

    def error(self, lease: Lease) -> LeaseLost | Stopped | Released | None:
        """Give what work under this lease is unwound by, once the brake is pulled."""
        match self.why:
            case None:
                return None
            case Cut.LEASE_LOST:
                return LeaseLost(lease.run_id, lease.token)
            case Cut.CANCELLED:
                return Stopped(ErrorClass.CANCELLATION)
            case Cut.SHUTDOWN:
                return Released()


def _tell(call: Callable[[], object]) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed: nothing runs there any more
        call()
