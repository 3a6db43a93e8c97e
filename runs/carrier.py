"""Work that waits holds no thread: the I/O loop has it meanwhile, then a thread goes on with it.

    begin ──▶ a thread, until it waits ──▶ I/O loop ──▶ ready ──▶ a thread, until it waits ──▶ …
                                                          └─ whoever begins takes these first

Work of the engine is a generator. Where it has to wait it yields a coroutine, and it is given
what came of that. Between two waits it runs in one thread, which may talk to the database.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any, TypeAlias, TypeVar

import structlog

from runs.loop import IoLoop

log = structlog.get_logger()
T = TypeVar("T")

Waits: TypeAlias = Coroutine[Any, Any, Any]
Work: TypeAlias = Generator[Waits, Any, T]
"""Something to carry out that yields what it waits for; T is what it comes to."""


def finish(work: Work[T], wait: Callable[[Waits], Any], wanted: Waits | None = None) -> T:
    """Carry work out to its end in this thread; `wait` runs a coroutine and gives its result.

    `wanted` is what work that was begun already waits for.
    """
    try:
        wanted = next(work) if wanted is None else wanted
        while True:
            try:
                came = wait(wanted)
            except BaseException as error:  # noqa: BLE001 - it is the work's to handle
                wanted = work.throw(error)
            else:
                wanted = work.send(came)
    except StopIteration as end:
        value: T = end.value
        return value


@dataclass(frozen=True, slots=True)
class _Carried:
    """Work that was handed to the loop at least once, and the context that it runs in."""

    work: Work[Any]
    context: contextvars.Context = field(default_factory=contextvars.copy_context)

    def go_on(self, came: Future[Any] | None) -> Waits:
        """Go on to the next wait; raises StopIteration at the end."""
        if came is None:
            return next(self.work)
        try:
            answer = came.result()
        except BaseException as error:  # noqa: BLE001 - it is the work's to handle
            return self.work.throw(error)
        return self.work.send(answer)


class Carrier:
    """Carries work of this process on: `threads` of its own, and each thread that begins some.

    At most `most` pieces of work wait at once without a thread; one more is waited for in the
    thread that began it, which then takes nothing new. `waits` is called when one begins to wait.
    """

    def __init__(self, loop: IoLoop, *, threads: int, most: int) -> None:
        self._loop, self._room = loop, threading.Semaphore(most)
        self.waits: Callable[[], object] = bool
        self._ready: SimpleQueue[tuple[_Carried, Future[Any]]] = SimpleQueue()
        self._carried = self._waiting = 0
        self._changed = threading.Condition()
        for number in range(threads):
            threading.Thread(target=self._for_ever, name=f"carrier-{number}", daemon=True).start()

    @property
    def carried(self) -> int:
        """Say how much work was handed to the loop and has not ended yet."""
        return self._carried

    @property
    def waiting(self) -> int:
        """Say how much of it waits now, so that no thread is busy with it or soon will be."""
        return self._waiting

    def begin(self, work: Work[Any]) -> None:
        """Carry work out until it ends or waits. What is ready to go on comes first."""
        self._help()
        carried = _Carried(work)
        try:
            wanted = carried.context.run(carried.go_on, None)
        except StopIteration:
            return
        if not self._room.acquire(blocking=False):
            carried.context.run(finish, work, self._loop.run, wanted)
            return
        with self._changed:
            self._carried += 1
        self._hand_over(carried, wanted)

    def wait_until_idle(self, seconds: float) -> bool:
        """Wait until everything that was handed over has ended; False if it did not in time."""
        with self._changed:
            return self._changed.wait_for(lambda: self._carried == 0, seconds)

    def _hand_over(self, carried: _Carried, wanted: Waits) -> None:
        def done(came: Future[Any]) -> None:
            with self._changed:
                self._waiting -= 1
            self._ready.put((carried, came))

        with self._changed:
            self._waiting += 1
        carried.context.run(self._loop.start, wanted, done)
        self.waits()

    def _help(self) -> None:
        """Go on with what is ready and has no thread: it is further than anything new."""
        try:
            while True:
                self._go_on(*self._ready.get_nowait())
        except Empty:
            return

    def _for_ever(self) -> None:
        while True:
            self._go_on(*self._ready.get())

    def _go_on(self, carried: _Carried, came: Future[Any]) -> None:
        try:
            wanted = carried.context.run(carried.go_on, came)
        except StopIteration:
            self._ended()
        except BaseException:
            self._ended()
            log.exception("carrier.work_failed")
        else:
            self._hand_over(carried, wanted)

    def _ended(self) -> None:
        self._room.release()
        with self._changed:
            self._carried -= 1
            self._changed.notify_all()
