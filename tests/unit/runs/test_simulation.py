"""The simulation finds every bug that was put in, and none where none was put in."""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import pytest
import structlog
from django.core.management import call_command

from runs.testing import people
from runs.testing.simulation import BUGS, NONE, learn, play
from runs.testing.simulation.families import PLAYED
from runs.testing.simulation.schedule import Schedule

ENOUGH = 2000
RARE = {
    "approval_not_bound": 746,
    "clock_lost": 503,
    "decided_twice": 149,
    "join_counted_twice": 100,
    "line_jumped": 15,
    "reserved_is_gone": 337,
    "signal_forgotten": 292,
    "wakes_early": 443,
}
"""The first seeds that find bugs which few find: tried before the others, to spare the search."""
FAULTS = {
    "worker_killed",
    "worker_stopped",
    "message_lost",
    "message_doubled",
    "message_late",
    "broker_away",
    "sender_killed",
    "relay_killed",
    "group_refused",
    "patience_lost",
    "cancelled",
    "deadline",
    "deadline_stops",
    "little_money",
    "signal_doubled",
    "renewal_failed",
}


@pytest.fixture(autouse=True, scope="module")
def twins() -> None:
    learn()


def test_under_all_faults_no_promise_is_broken() -> None:
    fired: Counter[str] = Counter()
    ends: Counter[str] = Counter()
    for seed in range(150):
        played = play(seed)
        assert played.violations == [], f"manage.py simulate --replay {seed}"
        fired += played.fired
        ends += played.ends

    assert fired.keys() >= FAULTS
    assert {f"{name} succeeded" for name in PLAYED} <= ends.keys()
    assert {"child succeeded", "shaky failed", "dawdler cancelled"} <= ends.keys()
    assert {"frugal cancelled", "errands cancelled"} <= ends.keys()


@pytest.mark.parametrize("name", sorted(BUGS))
def test_a_bug_that_was_put_in_is_found(name: str) -> None:
    seeds = sorted(range(ENOUGH), key=lambda seed: seed != RARE.get(name))

    assert any(play(seed, bug=BUGS[name]).violations for seed in seeds)


def test_a_seed_is_the_same_story_each_time() -> None:
    first: list[str] = []
    again: list[str] = []

    play(7, tell=first.append)
    play(7, tell=again.append)

    assert first == again
    assert first


@pytest.fixture
def logs_as_before() -> Iterator[None]:
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.mark.usefixtures("logs_as_before")
def test_what_is_printed_for_a_seed_that_fails_plays_it_again() -> None:
    def said(*arguments: str) -> list[str]:
        call_command("simulate", *arguments, stdout=(out := io.StringIO()))
        return out.getvalue().splitlines()

    first = said("--schedules", "30", "--seed", "5", "--bug", "no_fencing")
    seed, again = next(
        (line, re.sub(r".*manage\.py simulate ", "", after))
        for line, after in pairwise(first)
        if line.startswith("seed ")
    )

    replayed = said(*again.split())

    assert seed in replayed
    verdict = json.loads(replayed[-1])
    assert verdict.keys() == {"schedules", "faults_fired", "violations", "per_minute", "seed"}
    assert verdict["violations"] == 1


def test_a_poisonous_run_that_is_cancelled_costs_no_worker_more() -> None:
    schedule = Schedule(0, NONE, None, names=("poison",))
    ground = schedule.ground
    run = ground.store.runs["run-0"]
    while not ground.deaths[run.id]:
        schedule._step()

    ground.touch(run)
    people.cancel(ground.store, run, "enough")
    schedule.go()

    assert (run.state, ground.deaths[run.id], ground.violations) == ("cancelled", 1, [])
