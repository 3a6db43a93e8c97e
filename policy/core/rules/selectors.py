"""What a rule asks of a call beside its condition: one selector for each thing asked.

A selector holds, does not hold, or cannot tell: `Undecided`, or whatever else it raises,
is judged by `policy.core.rules.decide` as the stricter of both ends.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, tzinfo
from decimal import Decimal
from fnmatch import translate
from typing import Any, Final

from policy.core.call import CallRequest
from policy.core.json import Json, JsonObject

LONGEST_TEXT: Final = 10_000
MOST_ITEMS: Final = 10_000
DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Undecided(Exception):  # noqa: N818 - not an error of the call: nobody can tell
    """A selector cannot tell whether it holds: a value is absent, or of another kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """One thing that a rule asks of a call.

    `name` is as in the document (`risks`, `arguments/amount`), `wants` says in words what is
    asked for, `seen` gives what the call has there.
    """

    name: str
    wants: str
    test: Callable[[CallRequest], bool]
    seen: Callable[[CallRequest], Json]


def matcher(patterns: Iterable[str]) -> Callable[[str], bool]:
    """Compile patterns (`*`, `?`, `[...]`; case counts) into a test of one text."""
    matches = re.compile("|".join(translate(pattern) for pattern in patterns)).match
    return lambda text: matches(text) is not None


def patterns(
    name: str, wanted: Sequence[str], seen: Callable[[CallRequest], Sequence[str]]
) -> Selector:
    """Ask that one of the call's texts matches one of the patterns."""
    matches = matcher(wanted)
    return Selector(
        name=name,
        wants=" or ".join(wanted),
        test=lambda call: any(matches(text) for text in seen(call)),
        seen=lambda call: list(seen(call)),
    )


def any_of(
    name: str, wanted: Iterable[str], seen: Callable[[CallRequest], Sequence[str]]
) -> Selector:
    """Ask that one of the call's texts is among the wanted ones."""
    among = frozenset(wanted)
    return Selector(
        name=name,
        wants=" or ".join(sorted(among)),
        test=lambda call: not among.isdisjoint(seen(call)),
        seen=lambda call: list(seen(call)),
    )


def all_of(
    name: str, wanted: Iterable[str], seen: Callable[[CallRequest], Sequence[str]]
) -> Selector:
    """Ask that every wanted text is among the call's."""
    needed = frozenset(wanted)
    return Selector(
        name=name,
        wants=" and ".join(sorted(needed)),
        test=lambda call: needed.issubset(seen(call)),
        seen=lambda call: list(seen(call)),
    )


def flag(name: str, *, wanted: bool, seen: Callable[[CallRequest], bool | None]) -> Selector:
    """Ask for yes or no; what nobody declared is undecided."""

    def test(call: CallRequest) -> bool:
        if (value := seen(call)) is None:
            raise Undecided(f"nobody declared {name}")
        return value is wanted

    return Selector(name=name, wants="yes" if wanted else "no", test=test, seen=seen)


# --- Numbers ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Bounds of a number; those left out do not bind."""

    at_least: Decimal | None = None
    at_most: Decimal | None = None
    above: Decimal | None = None
    below: Decimal | None = None

    def holds(self, value: Any) -> bool:
        """Say whether a number is within.

        Raises:
            Undecided: it is no number, or none that can be compared.
        """
        number = _number(value)
        return not (
            (self.at_least is not None and number < self.at_least)
            or (self.at_most is not None and number > self.at_most)
            or (self.above is not None and number <= self.above)
            or (self.below is not None and number >= self.below)
        )

    def words(self) -> str:
        """Say the bounds."""
        given = {
            "at least": self.at_least,
            "at most": self.at_most,
            "above": self.above,
            "below": self.below,
        }
        return ", ".join(f"{word} {bound}" for word, bound in given.items() if bound is not None)


def _number(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise Undecided(f"{type(value).__name__} is no number")
    number = Decimal(str(value)) if isinstance(value, float) else Decimal(value)
    if not number.is_finite():
        raise Undecided("it is no finite number")
    return number


def within(name: str, bounds: Range, seen: Callable[[CallRequest], int | Decimal]) -> Selector:
    """Ask that a number of the call is within bounds."""
    return Selector(
        name=name,
        wants=bounds.words(),
        test=lambda call: bounds.holds(seen(call)),
        seen=lambda call: _plain(seen(call)),
    )


def _plain(number: int | Decimal) -> Json:
    return str(number) if isinstance(number, Decimal) else number


# --- Time -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A recurring time of the week, and the span of days in which it counts.

    A window that ends before it begins goes over midnight and belongs to the day it began.
    """

    days: frozenset[str] = frozenset()
    begins: time | None = None
    ends: time | None = None
    zone: tzinfo
    since: datetime | None = None
    until: datetime | None = None
    words: str = ""

    def holds(self, at: datetime) -> bool:
        """Say whether a moment is within."""
        if (self.since and at < self.since) or (self.until and at >= self.until):
            return False
        local = at.astimezone(self.zone)
        begins, ends, clock = self.begins or time.min, self.ends or time.max, local.time()
        day = local.weekday()
        if begins <= ends:
            is_open = begins <= clock and (self.ends is None or clock < ends)
        else:
            is_open = clock >= begins or clock < ends
            day -= clock < ends
        return is_open and (not self.days or DAYS[day % 7] in self.days)


def times(windows: Sequence[Window]) -> Selector:
    """Ask that the moment of the call is within one of the windows."""

    def test(call: CallRequest) -> bool:
        if call.at is None:
            raise Undecided("the moment of the call is not known")
        at = call.at
        return any(window.holds(at) for window in windows)

    return Selector(
        name="times",
        wants=" or ".join(window.words for window in windows),
        test=test,
        seen=lambda call: None if call.at is None else call.at.isoformat(),
    )


# --- Arguments --------------------------------------------------------------------------------

ArgumentTest = Callable[[Json], bool]
ABSENT: Final = object()


def argument(
    pointer: str, wants: str, test: ArgumentTest, *, present: bool | None = None
) -> Selector:
    """Ask something of the argument at a JSON pointer; `present` False: that it is not there.

    An argument that is absent leaves whatever else is asked of it undecided.
    """
    path = path_of(pointer)

    def holds(call: CallRequest) -> bool:
        value = value_at(call.arguments, path)
        if present is not None:
            if (value is not ABSENT) is not present:
                return False
            if not present:
                return True
        if value is ABSENT:
            raise Undecided("there is no such argument")
        return test(value)

    def seen(call: CallRequest) -> Json:
        value = value_at(call.arguments, path)
        return None if value is ABSENT else value

    return Selector(name=f"arguments/{'/'.join(path)}", wants=wants, test=holds, seen=seen)


def path_of(pointer: str) -> tuple[str, ...]:
    """Read a JSON pointer; what does not begin with a slash is the name of one argument."""
    if not pointer.startswith("/"):
        return (pointer,)
    parts = pointer[1:].split("/")
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in parts)


def value_at(arguments: JsonObject, path: Sequence[str]) -> Any:
    """Follow a path into the arguments; ABSENT where it leads nowhere."""
    value: Any = arguments
    for part in path:
        if isinstance(value, Mapping) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isascii() and part.isdigit():
            if (index := int(part[:9])) >= len(value):
                return ABSENT
            value = value[index]
        else:
            return ABSENT
    return value


def same(value: Json, wanted: Json) -> bool:
    """Compare as JSON does: 1 is 1.0, but true is not 1, and a text is no number."""
    if isinstance(value, bool) or isinstance(wanted, bool):
        return value is wanted
    if isinstance(value, int | float) and isinstance(wanted, int | float):
        return value == wanted
    return type(value) is type(wanted) and value == wanted


def text_of(value: Json) -> str:
    """Give a text that is short enough to be looked into.

    Raises:
        Undecided: it is no text, or too long.
    """
    if not isinstance(value, str):
        raise Undecided(f"{type(value).__name__} is no text")
    if len(value) > LONGEST_TEXT:
        raise Undecided(f"it is longer than {LONGEST_TEXT} characters")
    return value


def items_of(value: Json) -> Sequence[Json]:
    """Give a list that is short enough to be gone through.

    Raises:
        Undecided: it is no list, or too long.
    """
    if not isinstance(value, list | tuple):
        raise Undecided(f"{type(value).__name__} is no list")
    if len(value) > MOST_ITEMS:
        raise Undecided(f"it has more than {MOST_ITEMS} items")
    return value
