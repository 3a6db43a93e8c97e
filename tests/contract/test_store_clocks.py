"""What both stores promise of a deadline that stops while a run waits for people."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from policy.core.money import Limits, Unit
from runs.core.lifecycle import Reason, RunState
from runs.ports import Claimed
from tests.contract.broods import born, join, set_aside
from tests.contract.builds import a_save, a_tool, ended, held, moved, put, waiting
from tests.contract.grounds import LEASE, Ground, agent_of, claim

HOUR = timedelta(hours=1)
DAY = 86_400
SOON = timedelta(seconds=30)
"""How long a test may take."""

ASIDE: dict[str, dict[str, Any]] = {
    "approval": {"reason": Reason.APPROVAL},
    "outcome unknown": {"reason": Reason.OUTCOME_UNKNOWN},
    "poison": {"reason": Reason.POISON},
    "version": {"reason": Reason.VERSION},
    "a raise": {"state": RunState.PAUSED, "reason": Reason.BUDGET},
}


def aside(ground: Ground, run_id: str, **change: Any) -> Claimed:
    """Set a run aside, and let a day pass that nobody does anything in."""
    claimed = claim(ground, run_id)
    ground.store.save(claimed.lease, waiting(claimed, **change), ttl=LEASE)
    ground.pass_time(run_id, DAY)
    ground.sweep(run_id)
    return claimed


def left(claimed: Claimed) -> timedelta:
    assert claimed.deadline is not None
    return claimed.deadline - claimed.now


def is_about(seen: timedelta | None, wanted: timedelta) -> bool:
    return seen is not None and wanted - SOON <= seen <= wanted


@pytest.mark.parametrize("why", ASIDE)
def test_it_stands_still_while_a_person_must_act(ground: Ground, why: str) -> None:
    run_id = ground.start("a", deadline=HOUR, stops=True)

    aside(ground, run_id, **ASIDE[why])

    run = ground.run(run_id)
    assert run.state in {"interrupted", "paused"}
    assert is_about(run.left, HOUR)


@pytest.mark.parametrize("why", ASIDE)
def test_it_runs_on_where_the_agent_does_not_say_so(ground: Ground, why: str) -> None:
    run_id = ground.start("a", deadline=HOUR)

    aside(ground, run_id, **ASIDE[why])

    assert (ground.run(run_id).state, ground.run(run_id).left) == ("expired", None)


@pytest.mark.parametrize(
    "change",
    [
        {"state": RunState.WAITING, "reason": Reason.SIGNAL},
        {"state": RunState.WAITING, "reason": Reason.CHILDREN},
        {"state": RunState.WAITING, "reason": Reason.BREAKER},
    ],
    ids=lambda change: str(change["reason"]),
)
def test_it_runs_on_while_a_run_waits_for_something_else(
    ground: Ground, change: dict[str, Any]
) -> None:
    run_id = ground.start("a", deadline=HOUR, stops=True)

    aside(ground, run_id, **change)

    assert (ground.run(run_id).state, ground.run(run_id).left) == ("expired", None)


def test_it_runs_on_while_money_is_only_set_aside(ground: Ground) -> None:
    run_id = ground.start("a", deadline=HOUR, stops=True)
    claimed = claim(ground, run_id)
    assert claimed.deadline is not None
    change = {"state": RunState.PAUSED, "reason": Reason.BUDGET, "due_at": claimed.deadline}

    ground.store.save(claimed.lease, waiting(claimed, **change), ttl=LEASE)

    assert (ground.run(run_id).state, ground.run(run_id).left) == ("paused", None)


OUT: dict[str, tuple[str, Callable[[Ground, str], None]]] = {
    "decided": ("approval", lambda g, r: g.decide(g.approvals(r)[0].id, "approve")),
    "called upon": ("outcome unknown", lambda g, r: g.wake(r)),
    "signalled": ("approval", lambda g, r: g.signal(r, "word")),
    "raised": ("a raise", lambda g, r: g.raise_budget(r, Unit.TOOL_CALLS, 1)),
    "resumed": ("poison", lambda g, r: g.resume(r)),
    "rewound": ("approval", lambda g, r: g.rewind(r, 0)),
}


@pytest.mark.parametrize("out", OUT)
def test_it_goes_on_with_what_was_left(ground: Ground, out: str) -> None:
    why, leave = OUT[out]
    run_id = ground.start("a", deadline=HOUR, stops=True, limits=Limits(tool_calls=1))
    claimed = claim(ground, run_id)
    put(ground, claimed, held())
    ground.store.save(claimed.lease, waiting(claimed, **ASIDE[why]), ttl=LEASE)
    if why != "approval":  # the question would run out
        ground.pass_time(run_id, DAY)

    leave(ground, run_id)

    assert ground.run(run_id).left is None
    again = claim(ground, run_id, "w2")
    assert is_about(left(again), HOUR)
    ground.pass_time(run_id, 3601)
    assert put(ground, again, a_tool()) == "deadline"


def test_it_goes_on_when_the_question_runs_out(ground: Ground) -> None:
    run_id = ground.start("a", deadline=HOUR, stops=True)
    claimed = claim(ground, run_id)
    put(ground, claimed, held())
    ground.store.save(claimed.lease, waiting(claimed), ttl=LEASE)

    ground.pass_time(run_id, 3601)
    ground.sweep(run_id)

    assert [a.state for a in ground.approvals(run_id)] == ["expired"]
    assert is_about(left(claim(ground, run_id, "w2")), HOUR)


def test_it_goes_on_when_a_parked_run_is_taken_over_by_another_version(ground: Ground) -> None:
    agent_of("a", stops=True)
    run_id = ground.start("a", deadline=HOUR, stops=True)
    aside(ground, run_id, reason=Reason.VERSION)

    ground.migrate(run_id, to=agent_of("a", stops=True, version="2"))

    assert is_about(left(claim(ground, run_id, "w2")), HOUR)


def test_a_run_that_is_cancelled_meanwhile_ends(ground: Ground) -> None:
    run_id = ground.start("a", deadline=HOUR, stops=True)
    aside(ground, run_id)

    ground.cancel(run_id)

    assert (ground.run(run_id).state, ground.run(run_id).left) == ("cancelled", None)


def test_a_run_that_costs_too_many_workers_is_parked_with_what_is_left(ground: Ground) -> None:
    run_id = ground.start("a", deadline=HOUR, stops=True)
    for _ in range(5):
        claim(ground, run_id)
        ground.pass_time(run_id, LEASE + 1)

    assert ground.store.claim(ground.tenant, run_id, worker="w", ttl=LEASE) is None
    ground.pass_time(run_id, DAY)
    ground.sweep(run_id)

    run = ground.run(run_id)
    assert (run.state, run.reason) == ("interrupted", "poison")
    assert is_about(run.left, HOUR - timedelta(seconds=5 * (LEASE + 1)))


def test_one_that_is_called_upon_before_it_is_set_aside_keeps_its_clock(ground: Ground) -> None:
    run_id = ground.start("a", deadline=HOUR, stops=True)
    claimed = claim(ground, run_id)
    ground.wake(run_id)

    saved = ground.store.save(claimed.lease, waiting(claimed), ttl=LEASE)

    assert (saved.state, ground.run(run_id).left) == (RunState.QUEUED, None)
    assert is_about(left(claim(ground, run_id, "w2")), HOUR)


def test_one_that_is_out_of_time_is_not_saved_by_being_set_aside(ground: Ground) -> None:
    run_id = ground.start("a", deadline=timedelta(seconds=30), stops=True)
    claimed = claim(ground, run_id)
    ground.pass_time(run_id, 31)
    ground.store.save(claimed.lease, waiting(claimed), ttl=LEASE)

    ground.sweep(run_id)

    assert ground.run(run_id).state == "expired"


def test_a_run_without_a_deadline_has_none_afterwards(ground: Ground) -> None:
    run_id = ground.start("a", stops=True)

    aside(ground, run_id)
    ground.wake(run_id)

    assert claim(ground, run_id, "w2").deadline is None


def test_work_that_goes_on_is_not_touched(ground: Ground) -> None:
    run_id = ground.start("a", deadline=HOUR, stops=True)
    claimed = claim(ground, run_id)
    ground.store.save(claimed.lease, a_save(claimed), ttl=LEASE)
    ground.store.save(moved(claimed).lease, ended(claimed), ttl=LEASE)

    assert (ground.run(run_id).state, ground.run(run_id).left) == ("cancelled", None)


def a_family(ground: Ground) -> tuple[str, str, str]:
    """A run with an hour, its child and its child's child; the last two stop for people."""
    top = ground.start("a", deadline=HOUR)
    brood, (middle, _) = born(ground, parent := claim(ground, top), deadline_stops=True)
    _, (child, _) = born(ground, claim(ground, middle), deadline_stops=True)
    join(ground, parent, brood, 2)
    set_aside(ground, parent)
    return top, middle, child


def passes(ground: Ground, seconds: float, *runs: str) -> None:
    if ground.name == "memory":
        ground.pass_time(runs[0], seconds)
        return
    for run_id in runs:
        ground.pass_time(run_id, seconds)


def test_a_child_never_has_more_time_than_a_run_above_it(ground: Ground) -> None:
    top, middle, child = a_family(ground)
    claimed = claim(ground, child)
    ground.store.save(claimed.lease, waiting(claimed), ttl=LEASE)
    passes(ground, 1800, top, middle, child)

    ground.wake(child)

    assert is_about(left(claim(ground, child, "w2")), HOUR - timedelta(seconds=1800))


def test_time_that_stands_still_above_a_child_is_not_its_own(ground: Ground) -> None:
    top, middle, child = a_family(ground)
    claimed = claim(ground, child)
    ground.store.save(claimed.lease, waiting(claimed), ttl=LEASE)
    ground.pass_time(middle, LEASE + 1)
    above = claim(ground, middle, "w3")
    ground.store.save(above.lease, waiting(above), ttl=LEASE)
    passes(ground, 1800, top, middle, child)

    ground.wake(child)

    assert ground.run(middle).left is not None
    assert left(claim(ground, child, "w2")) <= HOUR - timedelta(seconds=1800)


def test_a_child_that_stands_still_ends_with_its_parent(ground: Ground) -> None:
    top, _, child = a_family(ground)
    claimed = claim(ground, child)
    ground.store.save(claimed.lease, waiting(claimed), ttl=LEASE)
    ground.cancel(top)

    called = claim(ground, child, "w2")

    assert called.cancel
    assert ground.run(child).left is None
