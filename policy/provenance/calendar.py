"""Dates and times as people write them, compared by what they say.

2024-05-15, May 15th 2024, 15 May, 15.05.2024, 5/15/2024; 15:00, 3pm, 3:30 PM, noon.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeAlias

Day: TypeAlias = tuple[int | None, int, int]
Hour: TypeAlias = tuple[int, int]

_MONTHS: Final = {
    name[:length]: number
    for number, name in enumerate(
        [
            "january",
            "february",
            "march",
            "april",
            "may",
            "june",
            "july",
            "august",
            "september",
            "october",
            "november",
            "december",
        ],
        1,
    )
    for length in (3, 4, len(name))
}
_MONTH: Final = "(" + "|".join(sorted(_MONTHS, key=len, reverse=True)) + r")\.?"
_DAY: Final = r"(\d{1,2})(?:st|nd|rd|th)?"
_YEAR: Final = r"(?:,?\s+(\d{4})(?![\w:]))?"
_STARTS: Final = r"(?<![\w.,/-])"
_ENDS: Final = r"(?![\w/-])(?![.,]\d)"
_FLAGS: Final = re.ASCII | re.IGNORECASE

_ISO: Final = re.compile(rf"{_STARTS}(\d{{4}})-(\d{{1,2}})-(\d{{1,2}})(?=t\d|{_ENDS})", _FLAGS)
_NUMERIC: Final = re.compile(rf"{_STARTS}(\d{{1,2}})[./](\d{{1,2}})[./](\d{{4}}){_ENDS}", _FLAGS)
_MONTH_DAY: Final = re.compile(rf"{_STARTS}{_MONTH}\s+{_DAY}{_ENDS}{_YEAR}", _FLAGS)
_DAY_MONTH: Final = re.compile(rf"{_STARTS}{_DAY}\s+(?:of\s+)?{_MONTH}{_ENDS}{_YEAR}", _FLAGS)
_CLOCK: Final = re.compile(
    r"(?<![\w:.,/-])(?:(?<=\d)t)?(\d{1,2}):(\d{2})(?::\d{2}(?:\.\d+)?)?(?:\s?([ap])\.?m\.?)?(?:z|[+-]00:00)?(?![\w:])",
    _FLAGS,
)
_ISO_CLOCK: Final = re.compile(
    r"(?<=\d)t(\d{2}):(\d{2})(?::\d{2}(?:\.\d+)?)?(?:z|[+-]00:00)?(?![\w:])", _FLAGS
)
_TWELVE: Final = re.compile(r"(?<![\w:.,/-])(\d{1,2})\s?([ap])\.?m\b\.?", _FLAGS)
_NAMED_HOUR: Final = re.compile(r"\b(noon|midday|midnight)\b", _FLAGS)
_MOMENT: Final = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})(?:[t ](\d{2}):(\d{2})(?::(\d{2})(?:\.0+)?)?(?:z|[+-]00:00)?)?", _FLAGS
)
_HOUR: Final = re.compile(r"(\d{1,2}):(\d{2})(?::00)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Moment:
    """A day, a time of day, or both."""

    day: Day | None = None
    hour: Hour | None = None


@dataclass(slots=True)
class Moments:
    """The days and times that stand in some texts."""

    days: set[Day] = field(default_factory=set)
    hours: set[Hour] = field(default_factory=set)

    def take(self, text: str) -> str:
        """Take in those of a text, and give the text without them."""
        found, rest = moments_in(text)
        self.days |= found.days
        self.hours |= found.hours
        return rest

    def cover(self, moment: Moment) -> bool:
        """Say whether a moment's day and time both stand there; a year may have been left out."""
        if moment.day is not None:
            year, month, day = moment.day
            years = {y for y, m, d in self.days if (m, d) == (month, day)}
            if not years or not (year is None or None in years or year in years):
                return False
            if moment.hour == (0, 0):
                return True
        return moment.hour is None or moment.hour in self.hours


def moment_of(text: str) -> Moment | None:
    """Read a value that is a day, a time, or both; None where it is anything else."""
    text = text.strip()
    if found := _MOMENT.fullmatch(text):
        hour = None if found[4] is None else (int(found[4]), int(found[5]))
        day = (int(found[1]), int(found[2]), int(found[3]))
        return Moment(day, hour) if found[6] in {None, "00"} else None
    if found := _HOUR.fullmatch(text):
        return Moment(None, (int(found[1]), int(found[2])))
    return _told(text)


def _told(text: str) -> Moment | None:
    found, rest = moments_in(text)
    if rest.strip(" ,.\0") or len(found.days) > 1 or len(found.hours) > 1:
        return None
    if not found.days and not found.hours:
        return None
    return Moment(next(iter(found.days), None), next(iter(found.hours), None))


def moments_in(text: str) -> tuple[Moments, str]:
    """Find days and times, and give the text with them blanked out."""
    found = Moments()
    days, hours = found.days, found.hours
    for pattern, read in _READERS:
        text = pattern.sub(partial(read, days, hours), text)
    return found, text


def _iso(days: set[Day], _: set[Hour], m: re.Match[str]) -> str:
    return _day(days, int(m[1]), int(m[2]), int(m[3])) or m[0]


def _numeric(days: set[Day], _: set[Hour], m: re.Match[str]) -> str:
    """Which of the two is the month, nobody says: both are taken."""
    one = _day(days, int(m[3]), int(m[1]), int(m[2]))
    other = _day(days, int(m[3]), int(m[2]), int(m[1]))
    return one or other or m[0]


def _month_day(days: set[Day], _: set[Hour], m: re.Match[str]) -> str:
    return _day(days, m[3], _MONTHS[m[1].lower()], int(m[2])) or m[0]


def _day_month(days: set[Day], _: set[Hour], m: re.Match[str]) -> str:
    return _day(days, m[3], _MONTHS[m[2].lower()], int(m[1])) or m[0]


def _clock(_: set[Day], hours: set[Hour], m: re.Match[str]) -> str:
    half = m[3] if m.re is _CLOCK else None
    return _hour(hours, int(m[1]), int(m[2]), half) or m[0]


def _twelve(_: set[Day], hours: set[Hour], m: re.Match[str]) -> str:
    return _hour(hours, int(m[1]), 0, m[2]) or m[0]


def _named(_: set[Day], hours: set[Hour], m: re.Match[str]) -> str:
    return _hour(hours, 0 if m[1].lower() == "midnight" else 12, 0, None)


_READERS: Final[tuple[tuple[re.Pattern[str], Callable[..., str]], ...]] = (
    (_ISO_CLOCK, _clock),
    (_ISO, _iso),
    (_NUMERIC, _numeric),
    (_MONTH_DAY, _month_day),
    (_DAY_MONTH, _day_month),
    (_CLOCK, _clock),
    (_TWELVE, _twelve),
    (_NAMED_HOUR, _named),
)


def _day(days: set[Day], year: str | int | None, month: int, day: int) -> str:
    if not (1 <= month <= 12 and 1 <= day <= 31):  # noqa: PLR2004 - months and days
        return ""
    days.add((None if year is None else int(year), month, day))
    return " \0 "


def _hour(hours: set[Hour], hour: int, minute: int, half: str | None) -> str:
    if half is not None:
        if not 1 <= hour <= 12:  # noqa: PLR2004 - a clock's face
            return ""
        hour = hour % 12 + (12 if half.lower() == "p" else 0)
    if hour > 23 or minute > 59:  # noqa: PLR2004 - a day
        return ""
    hours.add((hour, minute))
    return " \0 "
