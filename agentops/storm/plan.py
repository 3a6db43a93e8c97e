"""The plan of a storm: which fault strikes when. Pure: a seed gives one timetable.

0 ─────────── the storm ─────────── 0.8 ── only kills ── 1
                                           nothing else blows, so that what is
                                           measured there is recovery alone
"""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """A kind of fault."""

    WORKER_KILLED = "worker_killed"
    NURSERY_KILLED = "nursery_killed"
    WEB_KILLED = "web_killed"
    WEB_KILLED_BEFORE_ENQUEUE = "web_killed_before_enqueue"
    SWEEPER_KILLED = "sweeper_killed"
    SWEEPER_ABSENT = "sweeper_absent"
    SWEEPER_TWICE = "sweeper_twice"
    ZOMBIE = "zombie"
    REDIS_EMPTIED = "redis_emptied"
    REDIS_DOWN = "redis_down"
    REDIS_FULL = "redis_full"
    REDIS_HALF_OPEN = "redis_half_open"
    DATABASE_DROPPED = "database_dropped"
    DATABASE_RESTARTED = "database_restarted"
    DATABASE_SLOW = "database_slow"
    DATABASE_VANISHED = "database_vanished"
    COMMIT_SWALLOWED = "commit_swallowed"
    MESSAGES_DOUBLED = "messages_doubled"
    MESSAGES_LATE = "messages_late"
    CLOCK_JUMP = "clock_jump"
    DEPLOY = "deploy"


OWN_REDIS: Final = frozenset({Kind.REDIS_EMPTIED, Kind.REDIS_DOWN, Kind.REDIS_FULL})
OWN_DATABASE: Final = frozenset({Kind.DATABASE_RESTARTED})
LENGTH: Final[dict[Kind, tuple[float, float]]] = {
    Kind.ZOMBIE: (7.0, 9.0),
    Kind.SWEEPER_ABSENT: (3.0, 7.0),
    Kind.SWEEPER_TWICE: (3.0, 7.0),
    Kind.REDIS_DOWN: (2.0, 4.0),
    Kind.REDIS_FULL: (1.5, 3.0),
    Kind.REDIS_HALF_OPEN: (3.0, 6.0),
    Kind.DATABASE_SLOW: (1.5, 3.0),
    Kind.DATABASE_VANISHED: (4.0, 6.0),
}
"""Seconds that a fault lasts; the others strike and are over."""
STORM: Final = (0.03, 0.8)
STARTING: Final = (0.03, 0.5)
"""When there are surely runs left to be started."""
CALM: Final = (
    (0.84, Kind.WORKER_KILLED),
    (0.88, Kind.NURSERY_KILLED),
    (0.97, Kind.WORKER_KILLED),
)
A_SECOND: Final = 0.6
"""How many faults beyond one of each kind."""


@dataclass(frozen=True, slots=True, order=True)
class Strike:
    """One fault: when (seconds), what, how long, and chance (0 to 1) for whom it hits."""

    at: float
    kind: Kind
    length: float
    chance: float


def timetable(seed: int, seconds: float, left_out: Collection[Kind] = ()) -> list[Strike]:
    """Plan a storm: every kind at least once, more by chance, kills alone at the end."""
    dice = random.Random(seed)  # noqa: S311 - a seed is to repeat, not to hide
    kinds = [kind for kind in Kind if kind not in left_out]
    more = dice.choices(kinds, k=int(seconds * A_SECOND))
    strikes = [_strike(dice, kind, seconds * _moment(dice, kind)) for kind in [*kinds, *more]]
    strikes += [_strike(dice, kind, seconds * part) for part, kind in CALM if kind in kinds]
    return sorted(strikes)


def _moment(dice: random.Random, kind: Kind) -> float:
    return dice.uniform(*(STARTING if kind is Kind.WEB_KILLED_BEFORE_ENQUEUE else STORM))


def _strike(dice: random.Random, kind: Kind, at: float) -> Strike:
    length = dice.uniform(*LENGTH[kind]) if kind in LENGTH else 0.0
    return Strike(round(at, 3), kind, round(length, 3), round(dice.random(), 6))
