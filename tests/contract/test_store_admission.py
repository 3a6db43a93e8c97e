"""Runs that find no seat stand in line: of whom, how many, and in which order they are let in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from django.db import connection

from runs.core.admission import Priority
from runs.core.lifecycle import Reason, RunState
from runs.ports import Claimed, Save
from tests.conftest import make_room

if TYPE_CHECKING:
    from tests.contract.halls import Hall, PostgresHall

LEASE = 60.0
ALONE = 12
"""Three quarters of 16 seats: what a tenant that is alone may fill."""


@pytest.fixture
def postgres_hall(request: pytest.FixtureRequest) -> Iterator[PostgresHall]:
    from tests.contract.halls import PostgresHall

    try:
        yield PostgresHall(request.getfixturevalue("postgres"))
    finally:
        make_room()


@pytest.fixture(params=["memory", "postgres"])
def hall(request: pytest.FixtureRequest) -> Hall:
    from tests.contract.halls import MemoryHall

    if request.param == "memory":
        return MemoryHall()
    found: Hall = request.getfixturevalue("postgres_hall")
    return found


def claim(hall: Hall, run_id: str, tenant: str = "") -> Claimed:
    claimed = hall.store.claim(tenant or hall.here, run_id, worker="w", ttl=LEASE)
    assert claimed is not None
    return claimed


def end(hall: Hall, run_id: str, tenant: str = "") -> None:
    claimed = claim(hall, run_id, tenant)
    save = Save(state=RunState.FAILED, wakeups=claimed.wakeups, error_class="internal")
    hall.store.save(claimed.lease, save, ttl=LEASE)


def set_aside(hall: Hall, run_id: str) -> None:
    claimed = claim(hall, run_id)
    save = Save(state=RunState.WAITING, wakeups=claimed.wakeups, reason=Reason.SIGNAL)
    hall.store.save(claimed.lease, save, ttl=LEASE)


def filled(hall: Hall, more: int = 0) -> tuple[list[str], list[str]]:
    """Start as many runs as one tenant may have, and so many more; the rest stand in line."""
    runs = [hall.start() for _ in range(ALONE + more)]
    return runs[:ALONE], runs[ALONE:]


def test_where_there_is_room_a_run_is_admitted_at_once(hall: Hall) -> None:
    run = hall.start()

    assert not hall.in_line(run)
    claim(hall, run)


def test_who_finds_no_seat_stands_in_line_without_a_message(hall: Hall) -> None:
    admitted, waiting = filled(hall, 2)

    assert not any(map(hall.in_line, admitted))
    assert all(map(hall.in_line, waiting))
    assert [hall.messages(run) for run in waiting] == [0, 0]


def test_a_message_for_a_run_in_line_is_ignored(hall: Hall) -> None:
    _, (waiting,) = filled(hall, 1)

    assert hall.store.claim(hall.here, waiting, worker="w", ttl=LEASE) is None


def test_the_next_in_line_is_let_in_when_a_run_ends(hall: Hall) -> None:
    (first, *_), (next_one, after) = filled(hall, 2)
    end(hall, first)

    assert hall.admit() == [next_one]
    assert (hall.messages(next_one), hall.in_line(after)) == (1, True)
    assert hall.admit() == []
    claim(hall, next_one)


def test_a_run_that_waits_gives_its_seat_away(hall: Hall) -> None:
    (first, *_), (next_one,) = filled(hall, 1)
    set_aside(hall, first)

    assert hall.admit() == [next_one]


def test_who_was_set_aside_is_let_in_before_who_was_never_begun(hall: Hall) -> None:
    (first, second, *_), (one, two) = filled(hall, 2)
    set_aside(hall, first)
    assert hall.admit() == [one]

    hall.wake(first)

    assert hall.in_line(first)
    end(hall, second)
    assert hall.admit() == [first]
    assert hall.in_line(two)


def test_another_tenants_first_run_does_not_wait_behind_the_line(hall: Hall) -> None:
    _, waiting = filled(hall, 20)

    other = hall.start(hall.there)
    hall.admit()

    assert not hall.in_line(other)
    claim(hall, other, hall.there)
    assert all(map(hall.in_line, waiting))


def test_of_two_lines_each_is_let_in_by_its_weight(hall: Hall) -> None:
    hall.share(hall.here, weight=1)
    hall.share(hall.there, weight=3)
    admitted, here = filled(hall, 20)
    there = [hall.start(hall.there) for _ in range(20)]
    for run in admitted:
        end(hall, run)

    first_eight = Counter("there" if run in there else "here" for run in hall.admit()[:8])

    assert all(map(hall.in_line, here[-8:] + there[-2:]))
    assert abs(first_eight["there"] - 6) <= 1


def test_a_bound_on_active_runs_holds_the_rest_in_line(hall: Hall) -> None:
    hall.share(hall.here, most=2)

    runs = [hall.start() for _ in range(4)]

    assert [hall.in_line(run) for run in runs] == [False, False, True, True]
    end(hall, runs[0])
    assert hall.admit() == [runs[2]]


def test_priority_says_who_of_a_line_is_first_and_nobody_waits_for_ever(hall: Hall) -> None:
    admitted, _ = filled(hall)
    low = hall.start(priority=Priority.LOW)
    normal = hall.start()
    high = hall.start(priority=Priority.HIGH)

    order = []
    for run in admitted[:3]:
        end(hall, run)
        order += hall.admit()

    assert order == [high, normal, low]


def test_who_is_cancelled_leaves_the_line(hall: Hall) -> None:
    (first, *_), (gone, stays) = filled(hall, 2)

    hall.cancel(gone)
    end(hall, first)

    assert (hall.state(gone), hall.in_line(gone)) == ("cancelled", False)
    assert hall.admit() == [stays]


def test_a_called_upon_run_in_line_stays_where_it_stands(hall: Hall) -> None:
    _, (waiting,) = filled(hall, 1)

    hall.wake(waiting)

    assert (hall.in_line(waiting), hall.messages(waiting)) == (True, 0)


def test_of_many_who_admit_at_once_each_run_gets_one_message(postgres_hall: PostgresHall) -> None:
    hall = postgres_hall
    admitted, waiting = filled(hall, 20)
    for run in admitted:
        end(hall, run)

    def round_(_: int) -> list[str]:
        try:
            return hall.admit()
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        found = [run for some in pool.map(round_, range(16)) for run in some]

    assert found == waiting[:ALONE]
    assert [hall.messages(run) for run in waiting] == [1] * ALONE + [0] * 8
