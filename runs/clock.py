"""The database's clock, as this process knows it.

    claim ──"it is now ..."──▶ hear ──▶ carried on by this process's own ticking

Every moment that the engine chooses (when a retry is due, when a sleep is over, whether a
deadline has passed) is one on the database's clock, which everybody shares. A host's own clock
may be an hour wrong or jump, and nothing comes of it: it is never read.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta

Ticks = Callable[[], float]
"""Seconds since some moment; they run evenly, whatever is done to the host's clock."""


class DatabaseClock:
    """Says what time it is at the database (UTC), from what it said last.

    As late as the answer took to come, at most: never ahead of the database.
    """

    def __init__(self, ticks: Ticks = time.monotonic) -> None:
        self._ticks = ticks
        self._heard: tuple[datetime, float] | None = None

    def hear(self, now: datetime) -> None:
        """The database has just said that it is now so late."""
        self._heard = now, self._ticks()

    def __call__(self) -> datetime:
        """Give the moment it is now.

        Raises:
            RuntimeError: nothing was heard yet; whoever holds a run has heard at its claim.
        """
        if self._heard is None:
            raise RuntimeError("ask after a claim: only the database knows what time it is")
        now, at = self._heard
        return now + timedelta(seconds=self._ticks() - at)
