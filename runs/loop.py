"""One asyncio loop for a whole process, in a thread of its own: all waiting happens there.

Threads that do engine work hand coroutines to it, and wait for what they give or go on to
other work (`carrier`); whoever gives up waiting cancels the coroutine, so that nothing is
left running behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, TypeVar

import structlog

log = structlog.get_logger()
T = TypeVar("T")

STORE_THREADS = 8
"""Threads in which coroutines' own database statements run; no more than there are connections."""


SECONDS_TO_END: Final = 1.0
"""How long tasks that were told to stop are waited for."""

_SCOPE: Final = contextvars.ContextVar["Scope | None"]("scope", default=None)


class Scope:
    """The asyncio tasks of one piece of foreign code: itself, and every one it starts.

    Code started by `begin` may make tasks of its own, and they more; `end` leaves none.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Future[Any]] = set()

    def begin(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start the code."""
        inside = contextvars.copy_context()
        inside.run(_SCOPE.set, self)
        task = inside.run(asyncio.ensure_future, work)
        self.add(task)
        return task

    def add(self, task: asyncio.Future[Any]) -> None:
        """Take a task in; it leaves when it is done."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def end(self) -> None:
        """Cancel what is left, and wait a moment for it to end."""
        for _ in range(2):  # what is cancelled may start something more
            if not (left := set(self._tasks)):
                return
            for task in left:
                task.cancel()
            ended, _ = await asyncio.wait(left, timeout=SECONDS_TO_END)
            for task in ended:
                _read(task)
        if self._tasks:
            log.warning("loop.tasks_will_not_end", tasks=len(self._tasks))
            for task in self._tasks:
                task.add_done_callback(_read)


def unscoped(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Start a task that belongs to no scope: work of ours that foreign code asked for."""
    outside = contextvars.copy_context()
    outside.run(_SCOPE.set, None)
    return outside.run(asyncio.ensure_future, work)


def _in_its_scope(loop: asyncio.AbstractEventLoop, work: Any, **more: Any) -> asyncio.Task[Any]:
    task = asyncio.Task(work, loop=loop, **more)
    if (scope := _SCOPE.get()) is not None:
        scope.add(task)
    return task


def _complain(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Tell of an exception that nobody took, unless it is how we unwind foreign code."""
    if isinstance(context.get("exception", Exception()), Exception):
        loop.default_exception_handler(context)


def _read(task: asyncio.Future[Any]) -> None:
    """Read a late exception, which asyncio would otherwise complain of."""
    if not task.cancelled():
        task.exception()


class IoLoop:
    """A running event loop. `close` ends it and every task left on it."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._loop.set_task_factory(_in_its_scope)
        self._loop.set_exception_handler(_complain)
        self._store = ThreadPoolExecutor(STORE_THREADS, thread_name_prefix="store")
        self._is_closing = False
        self._thread = threading.Thread(target=self._forever, name="io", daemon=True)
        self._thread.start()

    def _forever(self) -> None:
        """Run until closed: code that asks to end the process ends its own task only."""
        while not self._is_closing:
            with contextlib.suppress(SystemExit, KeyboardInterrupt):
                self._loop.run_forever()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end, from a thread that is not the loop's.

        Raises:
            RuntimeError: called on the loop's own thread, which would wait for itself.
        """
        if threading.current_thread() is self._thread:
            work.close()
            raise RuntimeError("call this from a plain function, or use the async context")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def start(self, work: Coroutine[Any, Any, T], done: Callable[[Future[T]], object]) -> None:
        """Start a coroutine, from any thread; `done` is told on the loop's, and must be quick."""
        asyncio.run_coroutine_threadsafe(work, self._loop).add_done_callback(done)

    async def in_thread(self, call: Callable[..., T], *args: Any) -> T:
        """Run a blocking statement off the loop."""
        return await self._loop.run_in_executor(self._store, lambda: call(*args))

    async def aside(self, call: Callable[..., T], *args: Any) -> T:
        """Run something blocking that is no statement off the loop, in threads of its own."""
        return await asyncio.to_thread(call, *args)

    def close(self) -> None:
        """Cancel what still runs, and stop the loop."""
        asyncio.run_coroutine_threadsafe(_cancel_all(), self._loop).result()
        self._is_closing = True
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._store.shutdown(wait=False, cancel_futures=True)
        self._loop.close()


async def _cancel_all() -> None:
    mine = asyncio.current_task()
    others = [task for task in asyncio.all_tasks() if task is not mine]
    for task in others:
        task.cancel()
    if others:
        await asyncio.wait(others, timeout=SECONDS_TO_END)
