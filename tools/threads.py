"""Run blocking tools in threads, so many per tool at once, and never wait for a hung one.

A thread cannot be killed. A hung call keeps its thread and its tool's slot; other tools
have slots of their own, so a tool that hangs ends up blocking nobody but itself. The
threads are daemons: they never hold up the end of the process.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final
from weakref import WeakKeyDictionary

SLOTS_PER_TOOL: Final = 16

_slots: WeakKeyDictionary[asyncio.AbstractEventLoop, defaultdict[str, asyncio.Semaphore]]
_slots = WeakKeyDictionary()


class NoFreeThread(Exception):  # noqa: N818 - a state, named as the reader meets it
    """Every thread of the tool was busy for the whole time; nothing was called."""


async def in_thread(tool: str, work: Callable[[], Any], *, seconds: float) -> Any:
    """Run blocking work in a thread of its own, for so long at most.

    Raises:
        NoFreeThread: it never began.
        TimeoutError: it began and was not done in time. It goes on; nobody waits for it.
        Exception: whatever else the work raised.
    """
    loop = asyncio.get_running_loop()
    slot = _slots_of(loop)[tool]
    end = loop.time() + seconds
    try:
        async with asyncio.timeout_at(end):
            await slot.acquire()
    except TimeoutError:
        raise NoFreeThread(f"all {SLOTS_PER_TOOL} threads of {tool} are busy") from None
    done: asyncio.Future[Any] = loop.create_future()
    _Worker(loop, done, slot, work).start()
    async with asyncio.timeout_at(end):
        return await done


def _slots_of(loop: asyncio.AbstractEventLoop) -> defaultdict[str, asyncio.Semaphore]:
    if loop not in _slots:
        _slots[loop] = defaultdict(lambda: asyncio.Semaphore(SLOTS_PER_TOOL))
    return _slots[loop]


class _Worker(threading.Thread):
    """One call. It hands its result to the loop, if the loop still listens."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        done: asyncio.Future[Any],
        slot: asyncio.Semaphore,
        work: Callable[[], Any],
    ) -> None:
        super().__init__(name="tool", daemon=True)
        self._loop, self._done, self._slot, self._work = loop, done, slot, work
        self._context = contextvars.copy_context()

    def run(self) -> None:
        result: Any = None
        error: Exception | None = None
        try:
            result = self._context.run(self._work)
        except Exception as raised:  # noqa: BLE001 - a tool's foreign code, whatever it raises
            error = raised
        except BaseException as raised:  # noqa: BLE001 - a tool must not end the worker
            error = RuntimeError(f"the tool raised {type(raised).__name__}")
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._hand_over, result, error)

    def _hand_over(self, result: Any, error: Exception | None) -> None:
        self._slot.release()
        if self._done.done():
            return
        if error is None:
            self._done.set_result(result)
        else:
            self._done.set_exception(error)
