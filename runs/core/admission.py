"""Which tenant's run may start next: seats that are shared fairly. Pure.

Runs that wait stand in a line for each tenant; a run that is worked on, or is about to be,
takes a seat. Two rules share the seats out:

- *Whose turn it is*: start-time fair queueing (Goyal, Vin and Cheng, 1996). Each line carries the
  virtual moment at which its last run was done; the line whose next run would begin first goes
  first, and each run of a line of weight w takes 1/w of virtual time. While two lines both wait,
  their shares approach their weights; a line that comes late claims nothing for the past.
- *How many seats a line may fill*: dynamic thresholds (Choudhury and Hahne, 1998). A line may
  hold `EAGER` times what is free, less where its weight is less. So one that is alone fills most
  seats and never all: whoever comes next finds one free at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import Final

EAGER: Final = 3
"""A line that is alone fills EAGER / (EAGER + 1) of the seats."""


class Priority(StrEnum):
    """How soon a run starts among those of its own tenant."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


HEAD_START: Final[dict[Priority, timedelta]] = {
    Priority.HIGH: timedelta(minutes=10),
    Priority.NORMAL: timedelta(),
    Priority.LOW: -timedelta(minutes=10),
}
"""A run stands in line as if it had come so much earlier: none waits for ever behind others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A tenant whose runs wait: how many, how many hold seats, and what it was given so far.

    `most` bounds the seats it may hold; `done` is the virtual moment its last run was done.
    """

    tenant: str
    waiting: int
    active: int = 0
    weight: int = 1
    most: int | None = None
    done: float = 0.0


@dataclass(frozen=True, slots=True)
class Turn:
    """One run of a tenant may start: from when to when in virtual time."""

    tenant: str
    begun: float
    done: float


def has_room(line: Line, free: int, heaviest: int) -> bool:
    """Say whether a line may hold one seat more."""
    if free <= 0 or (line.most is not None and line.active >= line.most):
        return False
    return line.active * heaviest < EAGER * line.weight * free


def turns(lines: Sequence[Line], *, free: int, now: float) -> list[Turn]:
    """Say whose runs may start, in order; `now` is the virtual moment the last turn began."""
    heaviest = max((line.weight for line in lines), default=1)
    standing = {line.tenant: line for line in lines if line.waiting}
    given: list[Turn] = []
    while True:
        able = [line for line in standing.values() if has_room(line, free, heaviest)]
        if not able:
            return given
        line = min(able, key=lambda line: (max(now, line.done), line.tenant))
        now = max(now, line.done)
        done = now + 1 / line.weight
        given.append(Turn(line.tenant, now, done))
        free -= 1
        standing[line.tenant] = replace(
            line, waiting=line.waiting - 1, active=line.active + 1, done=done
        )
        if line.waiting == 1:
            del standing[line.tenant]


SOON: Final = 1.0
LATE: Final = 60.0
"""Seconds to come back after: who comes too early is refused once more, which costs little."""
UNKNOWN: Final = (5.0, 15.0)
"""Seconds to come back after where nobody knows, because the line stands still: a time between."""
SPREAD: Final = 0.25
"""So much longer, at most, for some than for others: they were refused at the same moment."""


def come_back(*, surplus: int, per_second: float, chance: float) -> float:
    """Say in how many seconds a line that is too long is expected to be shorter by `surplus`.

    `chance`, from 0 to 1, spreads those who ask at the same moment.
    """
    if per_second <= 0:
        first, last = UNKNOWN
        return first + (last - first) * chance
    return min(max(surplus / per_second, SOON), LATE) * (1 + SPREAD * chance)
