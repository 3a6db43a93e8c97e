"""A nursery on a host whose clock is wrong, by as much as AGENTOPS_STORM_CLOCK_SECONDS says.

Before anything else is imported, whatever reads the wall clock here gets a shifted one. Moments
made by it are ordinary ones, so that nothing but the time is different. Timeouts tick on.
"""

from __future__ import annotations

import datetime as dt
import os
import time
from typing import Any, Final

SHIFT: Final = "AGENTOPS_STORM_CLOCK_SECONDS"
TRUE: Final = dt.datetime


def shift(seconds: float) -> None:
    """Let this process believe that it is so many seconds later (or earlier)."""
    true_time, true_ns = time.time, time.time_ns
    time.time = lambda: true_time() + seconds
    time.time_ns = lambda: true_ns() + round(seconds * 1e9)
    by = dt.timedelta(seconds=seconds)

    class Kind(type):
        """Take every moment for one of `Shifted`."""

        def __instancecheck__(cls, given: object) -> bool:
            return isinstance(given, TRUE)

        def __subclasscheck__(cls, given: type) -> bool:
            return issubclass(given, TRUE)

    class Shifted(TRUE, metaclass=Kind):  # type: ignore[valid-type,misc]
        """A `datetime` whose clock is wrong; what it makes is of the true class."""

        __slots__ = ()

        def __new__(cls, *args: Any, **more: Any) -> Any:
            return TRUE(*args, **more)

        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> Any:
            return TRUE.now(tz) + by

        @classmethod
        def utcnow(cls) -> Any:
            return TRUE.now(dt.UTC).replace(tzinfo=None) + by

        @classmethod
        def today(cls) -> Any:
            return TRUE.now() + by

    Shifted.__name__ = Shifted.__qualname__ = "datetime"
    dt.datetime = Shifted  # type: ignore[misc]


def main() -> None:
    """Shift the clock, and be a nursery."""
    seconds = float(os.environ[SHIFT])
    shift(seconds)

    from agentops import workers  # noqa: PLC0415 - only now: it takes the shifted clock

    wrong = (dt.datetime.now(dt.UTC) - TRUE.now(dt.UTC)).total_seconds()
    if abs(wrong - seconds) > 1:
        raise RuntimeError(f"the clock was to be {seconds:g} s wrong and is {wrong:g} s wrong")
    workers.main()


if __name__ == "__main__":
    main()
