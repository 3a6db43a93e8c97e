"""Is a run's end the end of its fault-free twin, and is it what the outside saw? Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

CALLED_OFF: Final = "cancelled"
SAME: Final = ("state", "output", "error_class", "super_step", "checkpoints", "effects")
TRUE: Final = ("events_whole", "money_adds_up", "nothing_reserved", "files_there")

End = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Outside:
    """Effects of a run that the outside saw too often, and those that it did not see."""

    duplicated: int
    missing: int


def differences(end: End, twin: End) -> list[str]:
    """Name what differs between two ends and those of their children, or is sound of no run.

    Of who was called off, and of who had not succeeded when a join was decided, chance has
    it how far they had come: of them only what they completed is compared. Of a child that
    was called off in one play, and had ended just before in the other, only what is sound of
    every run is asked.
    """
    found = [name for name in SAME if plain(end, name) != plain(twin, name)]
    return found + _unsound(end, twin)


def _unsound(end: End, twin: End) -> list[str]:
    found = [name for name in TRUE if not end[name]]
    numbers = [row["super_step"] for row in end["checkpoints"]]
    tokens = [row["token"] for row in end["checkpoints"]]
    if numbers != list(range(len(numbers))):
        found.append("checkpoints are not contiguous")
    if tokens != sorted(tokens):
        found.append("tokens fall")
    if end["children"].keys() != twin["children"].keys():
        return [*found, "children"]
    for name, child in end["children"].items():
        other = twin["children"][name]
        by_chance = (child["state"] == CALLED_OFF) != (other["state"] == CALLED_OFF)
        judged = _unsound if by_chance else differences
        found += [f"{name}: {what}" for what in judged(child, other)]
    return found


def whole(end: End) -> Iterator[End]:
    """Give an end, and those of all who descend from it."""
    yield end
    for child in end["children"].values():
        yield from whole(child)


def plain(end: End, name: str) -> Any:
    """Give a part of an end without its run's id and tokens."""
    value = end[name]
    if name == "checkpoints":
        return [(row["super_step"], row["writes"]) for row in value]
    if name == "effects":
        rows = [{**row, "key": row["key"].partition("/")[2]} for row in value]
        if end["state"] == CALLED_OFF:
            return [row for row in rows if row["state"] == "done" and row["class"] != "read"]
        return [_settled(row) for row in rows]
    return value


def _settled(row: dict[str, Any]) -> dict[str, Any]:
    """Leave out of a join's answer who had not succeeded by then."""
    if row["kind"] != "join":
        return row
    good = [one for one in row["outcome"]["value"] if one["state"] == "succeeded"]
    return {**row, "outcome": good}


def outside(end: End, seen: Iterable[Mapping[str, Any]]) -> Outside:
    """Compare a run's ledger with the rows of the outside that name it.

    A completed call that changes something has happened exactly once; so has nothing else.
    """
    happened = Counter(row["key"] for row in seen if row["happened"])
    done = {
        row["key"]
        for row in end["effects"]
        if row["kind"] == "tool" and row["class"] != "read" and row["state"] == "done"
    }
    extra = sum(times - (key in done) for key, times in happened.items() if times > (key in done))
    return Outside(duplicated=extra, missing=len(done - happened.keys()))
