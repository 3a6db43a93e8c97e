"""One asyncio loop for a whole process, in a thread of its own: all waiting happens there.

Threads that do engine work hand coroutines to it and wait for what they give; whoever
gives up waiting cancels the coroutine, so that nothing is left running behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")

STORE_THREADS = 8
"""Threads in which coroutines' own database statements run; no more than there are connections."""


class IoLoop:
    """A running event loop. `close` ends it and every task left on it."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
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

    async def in_thread(self, call: Callable[..., T], *args: Any) -> T:
        """Run a blocking statement off the loop."""
        return await self._loop.run_in_executor(self._store, lambda: call(*args))

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
    await asyncio.gather(*others, return_exceptions=True)
