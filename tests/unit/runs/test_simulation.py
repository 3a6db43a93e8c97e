"""The simulation finds every bug that was put in, and none where none was put in."""

from __future__ import annotations

from collections import Counter

import pytest

from runs.testing.simulation import BUGS, learn, play

ENOUGH = 2000
FAULTS = {"worker_killed", "worker_stopped", "message_lost", "message_doubled", "message_late"}


@pytest.fixture(autouse=True, scope="module")
def twins() -> None:
    learn()


def test_under_all_faults_no_promise_is_broken() -> None:
    fired: Counter[str] = Counter()
    for seed in range(150):
        played = play(seed)
        assert played.violations == [], f"manage.py simulate --replay {seed}"
        fired += played.fired

    assert fired.keys() >= FAULTS


@pytest.mark.parametrize("name", sorted(BUGS))
def test_a_bug_that_was_put_in_is_found(name: str) -> None:
    assert any(play(seed, bug=BUGS[name]).violations for seed in range(ENOUGH))


def test_a_seed_is_the_same_story_each_time() -> None:
    first: list[str] = []
    again: list[str] = []

    play(7, tell=first.append)
    play(7, tell=again.append)

    assert first == again
    assert first
