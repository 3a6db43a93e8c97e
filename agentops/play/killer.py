"""Killer: SIGKILL for a random worker, again and again. Its nursery brings it back."""

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from agentops.play.kept import Kept

LOOK_SECONDS: Final = 0.02
LEFT: Final = 1


@dataclass
class Killer:
    """Kills one of the workers that take work, every so many seconds.

    The last one that takes work is left alone until another does: that others carry on is
    what the killing is to show, and on a slow machine there would never be any.
    """

    workers: Callable[[], Mapping[str, int]]
    every: float
    kept: Kept

    async def kill(self) -> None:
        """Kill until cancelled."""
        loop = asyncio.get_running_loop()
        due = loop.time() + self.every
        while True:
            await asyncio.sleep(max(due - loop.time(), LOOK_SECONDS))
            found = self.workers()
            if loop.time() < due or len(found) < LEFT + 1:
                continue
            due = loop.time() + self.every
            victim = random.choice(list(found))  # noqa: S311 - no secret
            with contextlib.suppress(ProcessLookupError):
                os.kill(found[victim], signal.SIGKILL)
                self.kept.note_kill(victim)
