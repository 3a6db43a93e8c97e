"""The plan of a storm: one seed, one timetable."""

from __future__ import annotations

import pytest

from agentops.storm.plan import OWN_REDIS, Kind, timetable


def test_a_seed_gives_the_same_storm_again() -> None:
    assert timetable(7, 60) == timetable(7, 60)


def test_another_seed_gives_another_storm() -> None:
    assert timetable(7, 60) != timetable(8, 60)


@pytest.mark.parametrize("seconds", [5, 60])
def test_every_kind_strikes_at_least_once(seconds: float) -> None:
    assert {strike.kind for strike in timetable(3, seconds)} == set(Kind)


def test_what_is_left_out_never_strikes() -> None:
    kinds = {strike.kind for strike in timetable(3, 60, OWN_REDIS)}

    assert kinds == set(Kind) - OWN_REDIS


def test_at_the_end_there_are_only_kills() -> None:
    late = {strike.kind for strike in timetable(3, 60) if strike.at > 48}

    assert late == {Kind.WORKER_KILLED, Kind.NURSERY_KILLED}
