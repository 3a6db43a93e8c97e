"""Seats are shared by weight, and nobody waits for ever."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from runs.core.admission import LATE, SOON, Line, come_back, has_room, turns

SEATS = 64

few = settings(max_examples=25)
weights = st.integers(1, 20)


def line(tenant: str, waiting: int = 1, **more: int) -> Line:
    return Line(tenant=tenant, waiting=waiting, **more)


def started(lines: list[Line], *, free: int = SEATS, now: float = 0.0) -> Counter[str]:
    return Counter(turn.tenant for turn in turns(lines, free=free, now=now))


class Hall:
    """Lines that never end, and seats that become free one by one, the longest held first."""

    def __init__(self, weights: dict[str, int], seats: int = SEATS) -> None:
        self.lines = {t: Line(tenant=t, waiting=10**6, weight=w) for t, w in weights.items()}
        self.seats, self.held, self.now = seats, list[str](), 0.0
        self.starts = Counter[str]()

    def round(self) -> None:
        given = turns(list(self.lines.values()), free=self.seats - len(self.held), now=self.now)
        for turn in given:
            assert turn.begun >= self.now
            self.now = turn.begun
            self.held.append(turn.tenant)
            self.starts[turn.tenant] += 1
            old = self.lines[turn.tenant]
            self.lines[turn.tenant] = replace(old, active=old.active + 1, done=turn.done)

    def end(self) -> None:
        old = self.lines[tenant := self.held.pop(0)]
        self.lines[tenant] = replace(old, active=old.active - 1)


@given(st.dictionaries(st.sampled_from("abcdef"), weights, min_size=1), st.integers(1, 100))
def test_no_more_seats_are_given_than_are_free(found: dict[str, int], free: int) -> None:
    lines = [line(tenant, 200, weight=weight) for tenant, weight in found.items()]

    assert sum(started(lines, free=free).values()) <= free


@few
@given(weights, weights)
def test_shares_of_lines_that_wait_approach_their_weights(one: int, two: int) -> None:
    hall = Hall({"one": one, "two": two})

    for _ in range(400):
        hall.round()
        hall.end()

    assert abs(hall.starts["one"] / one - hall.starts["two"] / two) <= SEATS * (1 / one + 1 / two)


@few
@given(st.dictionaries(st.sampled_from("abcdefgh"), weights, min_size=2, max_size=8))
def test_nobody_who_waits_is_left_out(found: dict[str, int]) -> None:
    hall = Hall(found, seats=4)

    for _ in range(8 * sum(found.values())):
        hall.round()
        hall.end()

    assert set(hall.starts) == set(found)


@few
@given(st.integers(1, 200), weights, weights)
def test_who_comes_late_finds_a_seat_at_once(rounds: int, old: int, new: int) -> None:
    hall = Hall({"old": old})
    for _ in range(rounds):
        hall.round()
        hall.end()
    hall.round()

    hall.lines["new"] = Line(tenant="new", waiting=1, weight=new)
    hall.round()

    assert hall.starts["new"] >= 1


def test_who_is_alone_leaves_a_quarter_of_the_seats_free() -> None:
    assert started([line("one", 1000)]) == {"one": 48}


def test_who_comes_late_claims_nothing_for_the_past() -> None:
    lines = [replace(line("old", 100), done=500.0), line("new", 100)]

    assert started(lines, free=8, now=500.0) == {"new": 4, "old": 3}


def test_a_bound_of_its_own_holds_a_line_back() -> None:
    lines = [line("bounded", 100, most=2), line("other", 100)]

    assert started(lines)["bounded"] == 2
    assert not has_room(line("bounded", most=2, active=2), 60, 1)


def test_turns_are_the_same_whatever_the_order_of_the_lines() -> None:
    lines = [line("b", 3), line("a", 3), line("c", 1, weight=5)]

    assert turns(lines, free=5, now=1.0) == turns(lines[::-1], free=5, now=1.0)


chances = st.floats(0, 1)


@given(st.integers(1, 10**6), st.floats(0, 10**6), chances)
def test_nobody_is_sent_away_for_long(surplus: int, rate: float, chance: float) -> None:
    wait = come_back(surplus=surplus, per_second=rate, chance=chance)

    assert SOON <= wait <= 1.25 * LATE <= 75


@given(st.integers(1, 10**6), chances)
def test_where_nothing_moves_the_time_to_come_back_is_short(surplus: int, chance: float) -> None:
    assert 5 <= come_back(surplus=surplus, per_second=0.0, chance=chance) <= 15


def test_twice_the_rate_is_half_the_time() -> None:
    assert come_back(surplus=100, per_second=5.0, chance=0) == 20.0
    assert come_back(surplus=100, per_second=10.0, chance=0) == 10.0


def test_who_was_refused_at_the_same_moment_comes_back_apart() -> None:
    for rate in (0.0, 0.1, 10.0):
        assert len({come_back(surplus=100, per_second=rate, chance=n / 8) for n in range(8)}) == 8
