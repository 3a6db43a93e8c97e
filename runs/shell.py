"""What the engine works with, and the ways in which a task's node is put away."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from policy.core.outcomes import ErrorClass
from policy.provenance import Background
from runs.loop import IoLoop
from runs.ports import Nudge, Store
from runs.world import World

Clock = Callable[[], datetime]


def leave(nudges: Iterable[Nudge]) -> None:
    """Leave messages in the outbox, where the relay takes them from."""


def nobody_waits() -> None:
    """Admit nobody: runs are never in line here, or somebody else looks after them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """What this process last worked out of a run's past, as of a super-step of one line of it."""

    upto: int
    skipped: Sequence[Sequence[int]]
    background: Background


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell:
    """A store, a world, a loop, the store's clock, a maker of ids, who is working, and a sender.

    The clock (UTC) is the store's, not this host's, which may be wrong: see `runs.clock`.

    `environment` is the installation's name for itself, like production, as policy sees it.
    `feed` admits runs that stand in line, soon: there may be room for them now.
    Once `draining` is set, no effect begins and no run is taken: the process shuts down.
    """

    store: Store
    world: World
    loop: IoLoop
    clock: Clock
    mint: Callable[[], str]
    worker: str
    ttl: float
    environment: str = ""
    draining: threading.Event = field(default_factory=threading.Event)
    send: Callable[[Iterable[Nudge]], None] = leave
    feed: Callable[[], None] = nobody_waits
    backgrounds: OrderedDict[str, Remembered] = field(default_factory=OrderedDict)


class Unwound(BaseException):
    """The task waits, or its run was called off; nothing more may be asked for."""


class Derailed(Unwound):
    """The engine itself cannot go on with this attempt; somebody else will make another."""


class Stopped(Unwound):
    """The run was cancelled or is past its deadline."""

    def __init__(self, error_class: ErrorClass) -> None:
        super().__init__(error_class)
        self.error_class = error_class


class Released(Unwound):
    """This process shuts down: the run is given back, and goes on elsewhere."""
