"""The engine's clock is the database's, whatever the host believes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from runs.clock import DatabaseClock

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


def test_it_goes_on_from_what_the_database_said() -> None:
    ticks = [100.0]
    clock = DatabaseClock(lambda: ticks[0])
    clock.hear(NOON)

    ticks[0] += 2.5

    assert clock() == NOON + timedelta(seconds=2.5)


def test_the_newest_word_counts() -> None:
    ticks = [100.0]
    clock = DatabaseClock(lambda: ticks[0])
    clock.hear(NOON)
    ticks[0] += 10

    clock.hear(NOON + timedelta(seconds=9))

    assert clock() == NOON + timedelta(seconds=9)


def test_without_a_word_from_the_database_there_is_no_time() -> None:
    with pytest.raises(RuntimeError, match="ask after a claim"):
        DatabaseClock()()
