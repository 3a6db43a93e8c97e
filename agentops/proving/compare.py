"""Is a run's end the end of its fault-free twin, and is it what the outside saw? Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

SAME: Final = ("state", "output", "error_class", "super_step", "checkpoints", "effects")
TRUE: Final = ("events_whole", "money_adds_up", "nothing_reserved")

End = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Outside:
    """Effects of a run that the outside saw too often, and those that it did not see."""

    duplicated: int
    missing: int


def differences(end: End, twin: End) -> list[str]:
    """Name what differs between two ends, and what holds of no sound run."""
    found = [name for name in SAME if plain(end, name) != plain(twin, name)]
    found += [name for name in TRUE if not end[name]]
    numbers = [row["super_step"] for row in end["checkpoints"]]
    tokens = [row["token"] for row in end["checkpoints"]]
    if numbers != list(range(len(numbers))):
        found.append("checkpoints are not contiguous")
    if tokens != sorted(tokens):
        found.append("tokens fall")
    return found


def plain(end: End, name: str) -> Any:
    """Give a part of an end without its run's id and tokens."""
    value = end[name]
    if name == "checkpoints":
        return [(row["super_step"], row["writes"]) for row in value]
    if name == "effects":
        return [{**row, "key": row["key"].partition("/")[2]} for row in value]
    return value


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
