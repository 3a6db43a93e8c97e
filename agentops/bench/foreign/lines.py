"""What the peers' scripts share: the model, the clock, and lines of JSON.

{"runs": 100, "steps": 20}  plays so many runs, each player one at a time
{"trace": 200}              plays one run; gives the seconds between its steps
{"resume": 1000}            leaves a run after so many steps; gives the seconds to one more
{"family": 50}              plays a run that starts so many children and joins them; its seconds
{"wait": 1000, "url": ...}  plays runs that all ask a slow model server once, at the same time
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import sys
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from queue import Empty, SimpleQueue
from typing import Any, Final

RANDOM_BYTES: Final = 225  # 300 characters of base64
MOST_MOMENTS: Final = 10_000

moments: Final[deque[float]] = deque(maxlen=MOST_MOMENTS)
"""When the model was asked; in a trace, nobody else asks."""


class Player(ABC):
    """What plays one run at a time."""

    @abstractmethod
    def play(self, steps: int) -> int:
        """Play a run and count its committed steps."""

    @abstractmethod
    def family(self, children: int) -> None:
        """Play a run that starts so many durable children at once and joins them."""

    def trace(self, steps: int) -> list[float]:
        """Play a run alone; give the seconds between its steps."""
        moments.clear()
        self.play(steps)
        return gaps(list(moments))


class Resumer(Player):
    """A player whose engine can leave a run and take it up again: not every one is asked to."""

    @abstractmethod
    def resume(self, steps: int) -> float:
        """Go on with a run of so many steps; give the seconds until one more is committed."""


class Waiter(Player):
    """A player whose engine can have many runs wait at once."""

    @abstractmethod
    def wait(self, runs: int, url: str) -> int:
        """Play runs that each ask a model server once, all at the same time; count their steps."""


def instant_model() -> str:
    """Answer at once with 300 random characters."""
    moments.append(time.monotonic())
    return base64.b64encode(os.urandom(RANDOM_BYTES)).decode()


def answer_all(players: Sequence[Player], ready: dict[str, Any]) -> None:
    """Answer lines until there are no more."""
    with ThreadPoolExecutor(len(players)) as pool:
        say({"ready": True, **ready})
        for line in sys.stdin:
            say(_answer(pool, players, json.loads(line)))


def _answer(
    pool: ThreadPoolExecutor, players: Sequence[Player], asked: dict[str, Any]
) -> dict[str, Any]:
    if "trace" in asked:
        return {"gaps": players[0].trace(asked["trace"])}
    if "family" in asked:
        began = time.monotonic()
        players[0].family(asked["family"])
        return {"seconds": time.monotonic() - began}
    if "resume" in asked:
        return {"seconds": _resumer(players[0]).resume(asked["resume"])}
    if "wait" in asked:
        return {"steps": _waiter(players[0]).wait(asked["wait"], asked["url"])}
    left: SimpleQueue[None] = SimpleQueue()
    for _ in range(asked["runs"]):
        left.put(None)
    played = pool.map(lambda player: _work(player, asked["steps"], left), players)
    return {"steps": sum(played)}


def _resumer(player: Player) -> Resumer:
    if not isinstance(player, Resumer):
        raise TypeError(f"{type(player).__name__} cannot leave a run and take it up again")
    return player


def _waiter(player: Player) -> Waiter:
    if not isinstance(player, Waiter):
        raise TypeError(f"{type(player).__name__} was not asked to wait")
    return player


def _work(player: Player, steps: int, left: SimpleQueue[None]) -> int:
    """Play runs until none is left, and count their steps."""
    played = 0
    with contextlib.suppress(Empty):
        while True:
            left.get_nowait()
            played += player.play(steps)
    return played


def gaps(times: Sequence[float]) -> list[float]:
    """Give the seconds between each moment and the next."""
    return [after - before for before, after in pairwise(times)]


def say(answered: dict[str, Any]) -> None:
    """Write one line of JSON."""
    sys.stdout.write(json.dumps(answered) + "\n")
    sys.stdout.flush()
