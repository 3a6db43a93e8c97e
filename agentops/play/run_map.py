"""RunMap: which task a run plays, and waiting for a run that nobody has named yet.

A run may call before the player, who learns its id from the answer to its own request, has
said which task it is.
"""

import asyncio
from collections.abc import Mapping


class RunUnknownError(LookupError):
    """A run called that the player has not named within the time allowed."""


class RunMap:
    """Run ids and the tasks they play."""

    def __init__(self, known: Mapping[str, int], *, patience: float) -> None:
        self._tasks = dict(known)
        self._patience = patience
        self._named = asyncio.Condition()

    async def name(self, run: str, task: int) -> None:
        """Say which task a run plays, and wake the calls that wait for it."""
        async with self._named:
            self._tasks[run] = task
            self._named.notify_all()

    async def task_of(self, run: str) -> int:
        """Return the task of a run, waiting a bounded time for it to be named."""
        if run not in self._tasks:
            try:
                async with asyncio.timeout(self._patience), self._named:
                    await self._named.wait_for(lambda: run in self._tasks)
            except TimeoutError as error:
                raise RunUnknownError(run) from error
        return self._tasks[run]
