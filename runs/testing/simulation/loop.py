"""Simulated waiting: an event loop without threads or descriptors, and leases renewed by turns."""

from __future__ import annotations

import asyncio
from asyncio import base_events, events
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TypeVar

import greenlet

from runs.brake import Brake, Cut
from runs.loop import _in_its_scope, _read
from runs.ports import Lease, Renewed

T = TypeVar("T")


def switch(hub: greenlet.greenlet) -> Any:
    """Give the turn to the scheduler; this worker's running loop stays its own."""
    mine = events._get_running_loop()  # noqa: SLF001 - there is no other way
    events._set_running_loop(None)  # noqa: SLF001 - there is no other way
    try:
        return hub.switch()
    finally:
        events._set_running_loop(mine)  # noqa: SLF001 - there is no other way


class _Selector:
    def __init__(self, wait: Callable[[float | None], None]) -> None:
        self._wait, self.rounds = wait, 0

    def select(self, timeout: float | None) -> list[Any]:
        self.rounds += 1
        if timeout is None or timeout > 0:
            self._wait(timeout)
        return []


class VirtualLoop(base_events.BaseEventLoop):
    """An event loop whose time is the simulation's."""

    def __init__(
        self,
        now: Callable[[], datetime],
        wait: Callable[[float | None], None],
        wake: Callable[[], None],
    ) -> None:
        super().__init__()
        self._now, self._selector, self._wake = now, _Selector(wait), wake
        self.set_task_factory(_in_its_scope)
        self.set_exception_handler(lambda *_: None)  # the dead leave tasks behind

    def time(self) -> float:
        return self._now().timestamp() + self._selector.rounds * 1e-6  # no round takes no time

    def _process_events(self, event_list: list[Any]) -> None:
        pass

    def _write_to_self(self) -> None:
        self._wake()


class SimulatedIo:
    """What `IoLoop` is to a worker, inside the worker's own greenlet."""

    def __init__(
        self,
        now: Callable[[], datetime],
        wait: Callable[[float | None], None],
        wake: Callable[[], None],
    ) -> None:
        self._loop = VirtualLoop(now, wait, wake)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """See `IoLoop.run`."""
        return self._loop.run_until_complete(work)

    async def in_thread(self, call: Callable[..., T], *args: Any) -> T:
        """See `IoLoop.in_thread`."""
        return call(*args)

    async def aside(self, call: Callable[..., T], *args: Any) -> T:
        """See `IoLoop.aside`."""
        return call(*args)

    def close(self) -> None:
        """Let what is left unwind, then close: a dead worker's tasks reach nothing any more."""
        left = asyncio.all_tasks(self._loop)
        for task in left:
            task.cancel()
        if left:
            self._loop.run_until_complete(asyncio.wait(left))
        for task in left:
            _read(task)
        self._loop.close()


class SimulatedKeeper:
    """What `LeaseKeeper` is to a worker; the scheduler says when it renews."""

    def __init__(self) -> None:
        self._held: dict[int, tuple[Lease, Brake]] = {}

    @contextmanager
    def keeping(self, lease: Lease, brake: Brake) -> Iterator[None]:
        """See `LeaseKeeper.keeping`."""
        self._held[id(brake)] = lease, brake
        try:
            yield
        finally:
            self._held.pop(id(brake), None)

    def renew(self, renew: Callable[[list[Lease]], Renewed]) -> None:
        """Renew once, and cut the work of leases that are lost or called off."""
        held = list(self._held.values())
        if not held:
            return
        found = renew([lease for lease, _ in held])
        for lease, brake in held:
            if lease in found.lost:
                brake.pull(Cut.LEASE_LOST)
            elif lease in found.cancelled:
                brake.pull(Cut.CANCELLED)

    def holds(self, run_id: str, task: str) -> bool:
        """See `LeaseKeeper.holds`."""
        return any((le.run_id, le.task) == (run_id, task) for le, _ in self._held.values())

    def look_at(self, run_id: str) -> None:
        """Do nothing: this process follows one message at a time, so it holds nothing else."""
