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


def test_kills_that_are_left_out_do_not_end_the_storm_either() -> None:
    only = {Kind.ZOMBIE, Kind.WORKER_KILLED}

    kinds = {strike.kind for strike in timetable(3, 60, set(Kind) - only)}

    assert kinds == only


def test_whoever_accepts_is_killed_while_runs_are_still_started() -> None:
    armed = Kind.WEB_KILLED_BEFORE_ENQUEUE

    moments = [
        strike.at for seed in range(20) for strike in timetable(seed, 60) if strike.kind is armed
    ]

    assert max(moments) <= 30


def test_at_the_end_there_are_only_kills() -> None:
    late = {strike.kind for strike in timetable(3, 60) if strike.at > 48}

    assert late == {Kind.WORKER_KILLED, Kind.NURSERY_KILLED}
