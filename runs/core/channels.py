"""Channels: the named state of a run, and the reducers that merge what tasks write.

    LAST    keeps one value; two writes in one super-step are an error
    LOG     a list that only grows; writes are appended in the order of the tasks
    SUM     adds numbers
    MERGE   unites objects, key by key; a later task's key wins

Merging happens in the order of the tasks of a super-step, never in the order in which
they finished, so the same super-step always gives the same state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, overload

from policy.core.json import Json, JsonObject, copied, storable
from runs.errors import InvalidGraph, InvalidWrite


class Reducer(StrEnum):
    """How a channel takes what is written to it."""

    LAST = "last"
    LOG = "log"
    SUM = "sum"
    MERGE = "merge"


class _Stored:
    """The part of a log that lies in the store, read when first wanted."""

    __slots__ = ("_items", "_read", "length")

    def __init__(self, length: int, read: Callable[[], list[Json]] | None) -> None:
        self.length, self._read = length, read
        self._items: list[Json] | None = None if read else []

    def items(self) -> list[Json]:
        if self._items is None and self._read is not None:
            self._items = self._read()[: self.length]
        return self._items or []


class Log(Sequence[Any]):
    """A list that only grows: its length is always at hand, its items are read when asked for.

    Immutable. `extended` shares what is there with the longer log.
    """

    __slots__ = ("_stored", "_tail", "_taken")

    def __init__(
        self, stored: _Stored | None = None, tail: list[Json] | None = None, taken: int = 0
    ) -> None:
        self._stored = stored or _Stored(0, None)
        self._tail = [] if tail is None else tail
        self._taken = taken

    @classmethod
    def kept_elsewhere(cls, length: int, read: Callable[[], list[Json]]) -> Log:
        """Give a log whose items lie in a store; `read` is called when they are wanted."""
        return cls(_Stored(length, read))

    def extended(self, items: Sequence[Json]) -> Log:
        """Give a longer log; this one stays as it is.

        The longest log of a family appends to the list they share; each log knows how
        much of it is its own. So appending costs the new items, not the old ones.
        """
        shared = self._taken == len(self._tail)
        tail = self._tail if shared else self._tail[: self._taken]
        tail.extend(items)
        return Log(self._stored, tail, self._taken + len(items))

    def items(self) -> list[Json]:
        """Give everything; what is stored is read once."""
        return [*self._stored.items(), *self._tail[: self._taken]]

    def __len__(self) -> int:
        return self._stored.length + self._taken

    @overload
    def __getitem__(self, index: int) -> Json: ...
    @overload
    def __getitem__(self, index: slice) -> list[Json]: ...
    def __getitem__(self, index: int | slice) -> Json:
        return copied(self.items()[index])

    def __iter__(self) -> Iterator[Json]:
        return iter(copied(self.items()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One named piece of state.

    With `reviewable`, a JSON Schema, whoever decides about a call may correct it, too. A log
    only grows, so it cannot be.
    """

    reducer: Reducer = Reducer.LAST
    reviewable: JsonObject | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be; raises InvalidGraph."""
        if self.reviewable is not None and self.reducer is Reducer.LOG:
            raise InvalidGraph("a log only grows, so no reviewer can correct it")

    def empty(self) -> Any:
        """Give the value of a channel that nobody wrote."""
        return _EMPTY[self.reducer]()

    def merge(self, name: str, before: Any, writes: Sequence[Json]) -> Any:
        """Take the writes of one super-step, in order.

        Raises:
            InvalidWrite: the writes do not fit the reducer.
        """
        try:
            return _MERGE[self.reducer](before, writes)
        except (TypeError, ValueError) as error:
            raise InvalidWrite(f"channel {name!r} ({self.reducer}): {error}") from error


def _last(_: Any, writes: Sequence[Json]) -> Json:
    if len(writes) > 1:
        raise ValueError("two tasks wrote it in one super-step; give it a reducer that merges")
    return writes[0]


def _log(before: Log, writes: Sequence[Json]) -> Log:
    for write in writes:
        if not isinstance(write, list | tuple):
            raise TypeError(f"needs a list of items to append, not {type(write).__name__}")
    return before.extended([item for write in writes for item in write])


def _sum(before: Any, writes: Sequence[Json]) -> Any:
    total = before
    for write in writes:
        if isinstance(write, bool) or not isinstance(write, int | float):
            raise TypeError(f"needs a number, not {type(write).__name__}")
        total += write
    return storable(total)


def _merge(before: Any, writes: Sequence[Json]) -> dict[str, Any]:
    united = dict(before)
    for write in writes:
        if not isinstance(write, dict):
            raise TypeError(f"needs an object, not {type(write).__name__}")
        united.update(write)
    return united


_EMPTY: dict[Reducer, Callable[[], Any]] = {
    Reducer.LAST: lambda: None,
    Reducer.LOG: Log,
    Reducer.SUM: lambda: 0,
    Reducer.MERGE: dict,
}
_MERGE: dict[Reducer, Callable[[Any, Sequence[Json]], Any]] = {
    Reducer.LAST: _last,
    Reducer.LOG: _log,
    Reducer.SUM: _sum,
    Reducer.MERGE: _merge,
}
