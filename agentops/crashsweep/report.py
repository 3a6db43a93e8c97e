"""What a sweep found: for people a table, for machines one line of JSON. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

SECONDS_WIDTH: Final = 8


@dataclass(frozen=True, slots=True)
class Hit:
    """One moment to be killed at: the number-th time that a point is passed."""

    point: str
    number: int

    def __str__(self) -> str:
        return f"{self.point}:{self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """One play with a kill. `fired` says whether the hit came, so that somebody was killed."""

    hit: Hit
    fired: bool
    differs: Sequence[str]
    duplicated: int
    missing: int
    seconds: float

    @property
    def is_right(self) -> bool:
        return not self.differs and not self.duplicated and not self.missing


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All plays of a sweep. `hits` is how many a play without a fault has."""

    points: int
    hits: int
    played: Sequence[Played]
    seconds: float

    @property
    def all_right(self) -> bool:
        """Say whether every kill came, and changed nothing but time."""
        return bool(self.played) and all(one.is_right and one.fired for one in self.played)

    def table(self) -> Iterator[str]:
        """Give one line for each point."""
        names = sorted({one.hit.point for one in self.played})
        width = max((len(name) for name in names), default=0)
        yield f"{'point':<{width}}  kills  fired   same  seconds a play"
        for name in names:
            of = [one for one in self.played if one.hit.point == name]
            fired, same = sum(one.fired for one in of), sum(one.is_right for one in of)
            mean = sum(one.seconds for one in of) / len(of)
            yield f"{name:<{width}}  {len(of):>5}  {fired:>5}  {same:>5}  {mean:>14.1f}"
        for one in self.played:
            if not one.is_right or not one.fired:
                yield f"{one.hit}: {_told(one)}; again: manage.py crashsweep --hit {one.hit}"

    def line(self) -> str:
        """Give the verdict as one JSON object."""
        facts = {
            "points": self.points,
            "hits": self.hits,
            "kills": sum(one.fired for one in self.played),
            "not_fired": sum(not one.fired for one in self.played),
            "same_end": sum(not one.differs for one in self.played),
            "duplicated": sum(one.duplicated for one in self.played),
            "missing": sum(one.missing for one in self.played),
            "all_right": self.all_right,
            "seconds": round(self.seconds, 1),
        }
        return json.dumps(facts)


def _told(one: Played) -> str:
    found = [*one.differs]
    found += [] if one.fired else ["the hit did not come, so nobody was killed"]
    found += [f"{one.duplicated} effects too many"] if one.duplicated else []
    found += [f"{one.missing} effects missing"] if one.missing else []
    return ", ".join(found)
