"""Killer: SIGKILL for a random worker, again and again. The supervisor brings it back."""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agentops.play.kept import Kept
from agentops.supervisor import Supervisor


@dataclass(frozen=True)
class Killer:
    """Kills one of the workers that are at work, every so many seconds."""

    supervisor: Supervisor
    workers: Sequence[str]
    is_ready: Callable[[str], bool]
    every: float
    kept: Kept

    async def kill(self) -> None:
        """Kill until cancelled. A worker that is still starting is left alone: it holds nothing."""
        while True:
            await asyncio.sleep(self.every)
            running = {status.name for status in self.supervisor.status() if status.running}
            ready = [name for name in self.workers if name in running and self.is_ready(name)]
            if ready:
                victim = random.choice(ready)  # noqa: S311 - no secret
                self.kept.note_kill(victim)
                await asyncio.to_thread(self.supervisor.kill, victim)
