"""What both stores promise of compensations: an effect is undone by one call, and only one."""

from __future__ import annotations

from typing import Any

from policy.core.money import Amounts
from runs.core.effects import EffectState, Place
from runs.core.lifecycle import RunState
from runs.ports import Claimed, Put, PutEffect, Settled
from tests.contract.builds import FIRST, a_save, a_tool, at_once, done, ended, held, put
from tests.contract.grounds import LEASE, Ground, claim


def a_done_run(ground: Ground) -> str:
    """A run with one completed effect; gives the effect's key."""
    run_id = ground.start("a")
    claimed = claim(ground, run_id)
    put(ground, claimed, a_tool())
    ground.store.save(claimed.lease, a_save(claimed, RunState.QUEUED, effects=[done()]), ttl=LEASE)
    return f"{run_id}/0/a/0"


def undoing(key: str, **change: Any) -> PutEffect:
    return a_tool(compensates=key, **change)


def others(ground: Ground, number: int = 2) -> list[Claimed]:
    return [claim(ground, ground.start("a")) for _ in range(number)]


def test_an_effect_is_compensated_by_one_call_only(ground: Ground) -> None:
    key = a_done_run(ground)
    first, second = others(ground)

    assert put(ground, first, undoing(key)) is Put.OK
    assert put(ground, second, undoing(key)) is Put.COMPENSATED
    assert put(ground, first, undoing(key, place=Place(0, "a", 1)), done()) is Put.COMPENSATED
    assert ground.effects(second.lease.run_id) == {}


def test_of_many_who_compensate_at_once_one_does(ground: Ground) -> None:
    key = a_done_run(ground)
    claimed = others(ground, 4)

    answers = at_once([lambda c=c: put(ground, c, undoing(key)) for c in claimed])  # type: ignore[misc]

    assert sorted(answers) == [Put.COMPENSATED] * 3 + [Put.OK]


def test_the_same_call_is_made_again_under_its_own_place(ground: Ground) -> None:
    key = a_done_run(ground)
    (first,) = others(ground, 1)
    put(ground, first, undoing(key))
    ground.pass_time(first.lease.run_id, LEASE + 1)

    again = claim(ground, first.lease.run_id, "w2")

    assert put(ground, again, undoing(key)) is Put.OK


def test_what_failed_without_a_doubt_may_be_tried_by_another(ground: Ground) -> None:
    key = a_done_run(ground)
    first, second = others(ground)
    put(ground, first, undoing(key))
    failed = {"failed": "permanent_dependency", "detail": "no", "in_doubt": False}

    put(ground, first, a_tool(Place(0, "a", 1)), settled(failed))

    assert put(ground, second, undoing(key)) is Put.OK


def test_what_failed_in_doubt_keeps_its_place(ground: Ground) -> None:
    key = a_done_run(ground)
    first, second = others(ground)
    put(ground, first, undoing(key))
    failed = {"failed": "timeout", "detail": "no answer", "in_doubt": True}

    put(ground, first, a_tool(Place(0, "a", 1)), settled(failed))

    assert put(ground, second, undoing(key)) is Put.COMPENSATED


def test_one_that_waits_for_a_person_keeps_its_place_until_its_run_ends(ground: Ground) -> None:
    key = a_done_run(ground)
    first, second = others(ground)
    wish = held()
    put(ground, first, undoing(key, state=wish.state, question=wish.question, reserve=Amounts()))

    waits = put(ground, second, undoing(key))
    ground.store.save(first.lease, ended(first), ttl=LEASE)

    assert (waits, put(ground, second, undoing(key))) == (Put.COMPENSATED, Put.OK)


def settled(outcome: Any) -> Settled:
    return Settled(
        place=FIRST, state=EffectState.FAILED, outcome=outcome, error_class=outcome["failed"]
    )
