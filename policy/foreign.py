"""Wait for foreign code without being harmed by it.

Code of others (a tool, a vendor's SDK) may hang, swallow a cancellation, or raise
`CancelledError` when it was its own connection that died. It runs in a task of its own
here, so that the only `CancelledError` a caller ever sees is the caller's own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Abandoned(Exception):  # noqa: N818 - a state of the foreign code, not an error of ours
    """The foreign code cancelled itself: what it did is unknown."""


async def within(seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """Run foreign work to its end, for so long at most.

    Raises:
        TimeoutError: it was not done in time. It was told to stop, and nobody waits for it.
        Abandoned: it ended in a cancellation that was not ours.
        Exception: whatever else the work raised.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task}, timeout=seconds)
    except asyncio.CancelledError:
        task.cancel()
        raise
    if not task.done():
        task.cancel()
        task.add_done_callback(_noticed)
        raise TimeoutError(f"no answer within {seconds:g} s")
    if task.cancelled():
        raise Abandoned("the other side gave up in the middle")
    return task.result()


def _noticed(task: asyncio.Future[Any]) -> None:
    """Read a late exception, which asyncio would otherwise complain of."""
    if not task.cancelled():
        task.exception()
