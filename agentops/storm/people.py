"""People: they start runs, cancel, decide, raise. A thread that asks the driver in turn."""

from __future__ import annotations

import queue
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from agentops.child import Child

AGENTS: Final = ("chain", "fan", "many", "asks", "poor", "late", "crowd", "chain", "fan", "many")
CANCELLED: Final = 0.06
REJECTED: Final = 0.3
MESSAGES: Final = 20
PAUSE_SECONDS: Final = 0.15


def cast(seed: int, runs: int) -> dict[str, str]:
    """Give each run its name and agent; the same for the same seed."""
    dice = random.Random(seed)  # noqa: S311 - a seed is to repeat, not to hide
    return {f"run-{number}": dice.choice(AGENTS) for number in range(runs)}


@dataclass
class People:
    """What they are to do, what they did, and which runs were accepted."""

    driver: Child
    wanted: dict[str, str]
    over: float
    """Seconds over which runs are started."""
    seed: int
    accepted: dict[str, str] = field(default_factory=dict)
    did: Counter[str] = field(default_factory=Counter)
    failure: Exception | None = None
    _nudges: queue.SimpleQueue[bool] = field(default_factory=queue.SimpleQueue)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def begin(self) -> None:
        """Go to work."""
        self._thread = threading.Thread(target=self._work, name="people", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Go home, after what is being done."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=30)

    def nudge(self, *, late: bool) -> None:
        """Have messages sent again."""
        self._nudges.put(late)

    @property
    def all_accepted(self) -> bool:
        return len(self.accepted) == len(self.wanted)

    def _work(self) -> None:
        began, dice = time.monotonic(), random.Random(self.seed)  # noqa: S311 - to repeat
        doomed = [name for name in self.wanted if dice.random() < CANCELLED]
        try:
            while not self._stop.wait(PAUSE_SECONDS):
                self._start((time.monotonic() - began) / self.over)
                ready = [name for name in doomed if name in self.accepted]
                if ready and self._note({"cancel": ready}):
                    doomed = [name for name in doomed if name not in ready]
                self._note({"tend": REJECTED})
                while not self._nudges.empty():
                    self._note({"nudge": MESSAGES, "late": self._nudges.get()})
        except Exception as error:  # noqa: BLE001 - it is raised where the storm is led
            self.failure = error

    def _start(self, part: float) -> None:
        due = list(self.wanted.items())[: round(len(self.wanted) * min(part, 1))]
        new = {name: agent for name, agent in due if name not in self.accepted}
        if new and "error" not in (answer := self.driver.ask({"start": new})):
            self.accepted.update(answer)

    def _note(self, asked: dict[str, Any]) -> bool:
        answer = self.driver.ask(asked)
        if "error" in answer:
            self.did["failed"] += 1
            return False
        self.did.update(answer)
        return True
