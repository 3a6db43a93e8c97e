"""What both stores promise of signals: kept, taken once, in order."""

from __future__ import annotations

import pytest

from policy.core.money import Amounts
from runs.core.effects import EffectKind, EffectState, Place
from runs.core.lifecycle import Reason, RunState
from runs.errors import IllegalMove, SignalRefused
from runs.ports import Claimed, Put, PutEffect
from tests.contract.builds import a_save, a_tool, done, ended, waiting
from tests.contract.grounds import LEASE, Ground, claim

FIRST, SECOND = Place(0, "a", 0), Place(0, "a", 1)


def wait_for(name: str, place: Place = FIRST) -> PutEffect:
    return a_tool(
        place,
        kind=EffectKind.SIGNAL,
        name=name,
        effect="read",
        state=EffectState.HELD,
        outcome={"due": None},
        reserve=Amounts(),
    )


def take(ground: Ground, claimed: Claimed, name: str, place: Place = FIRST) -> object:
    put, signal = ground.store.take_signal(claimed.lease, wait_for(name, place), [])
    assert put is Put.OK
    return signal and (signal["id"], signal["payload"])


def test_a_signal_is_taken_once_and_found_again_by_the_place_that_took_it(ground: Ground) -> None:
    run_id = ground.start("a")
    ground.signal(run_id, "paid", {"amount": 1}, "s1")
    ground.signal(run_id, "paid", {"amount": 1}, "s1")
    claimed = claim(ground, run_id)

    first = take(ground, claimed, "paid")
    again = take(ground, claimed, "paid")
    another = take(ground, claimed, "paid", SECOND)

    assert first == again == ("s1", {"amount": 1})
    assert another is None
    assert ground.effects(run_id)["/0/a/0"].state == "held"


def test_signals_are_taken_by_name_and_oldest_first(ground: Ground) -> None:
    run_id = ground.start("a")
    for n, name in enumerate(["other", "paid", "paid"]):
        ground.signal(run_id, name, n, f"s{n}")
    claimed = claim(ground, run_id)

    assert take(ground, claimed, "paid") == ("s1", 1)
    assert take(ground, claimed, "paid", SECOND) == ("s2", 2)


def test_a_signal_calls_upon_the_run_that_waits_for_it(ground: Ground) -> None:
    run_id = ground.start("a")
    claimed = claim(ground, run_id)
    take(ground, claimed, "paid")
    save = waiting(claimed, state=RunState.WAITING, reason=Reason.SIGNAL)
    ground.store.save(claimed.lease, save, ttl=LEASE)

    ground.signal(run_id, "paid", "yes")

    (row,) = claim(ground, run_id, "w2").ledger
    assert (row.state, row.outcome) == (EffectState.HELD, {"due": None})


def test_a_signal_between_looking_and_setting_aside_is_not_lost(ground: Ground) -> None:
    run_id = ground.start("a")
    claimed = claim(ground, run_id)
    take(ground, claimed, "paid")
    ground.signal(run_id, "paid", "yes")

    save = waiting(claimed, state=RunState.WAITING, reason=Reason.SIGNAL)
    saved = ground.store.save(claimed.lease, save, ttl=LEASE)

    assert saved.state is RunState.QUEUED


def test_a_zombie_takes_no_signal(ground: Ground) -> None:
    run_id = ground.start("a")
    zombie = claim(ground, run_id)
    ground.pass_time(run_id, LEASE + 1)
    owner = claim(ground, run_id, "w2")
    ground.signal(run_id, "paid", "yes", "s1")

    refused = ground.store.take_signal(zombie.lease, wait_for("paid"), [])

    assert refused == (Put.LEASE_LOST, None)
    assert take(ground, owner, "paid") == ("s1", "yes")


def test_an_id_names_one_signal_for_ever(ground: Ground) -> None:
    run_id = ground.start("a")
    ground.signal(run_id, "paid", 1, "s1")

    with pytest.raises(SignalRefused):
        ground.signal(run_id, "paid", 2, "s1")
    with pytest.raises(SignalRefused):
        ground.signal(run_id, "other", 1, "s1")


def test_a_run_that_ended_takes_no_new_signal_but_knows_the_old_ones(ground: Ground) -> None:
    run_id = ground.start("a")
    ground.signal(run_id, "paid", 1, "s1")
    claimed = claim(ground, run_id)
    ground.store.save(claimed.lease, ended(claimed), ttl=LEASE)

    ground.signal(run_id, "paid", 1, "s1")
    with pytest.raises(IllegalMove):
        ground.signal(run_id, "paid", 1, "s2")


def test_a_taken_signal_is_settled_with_the_super_step(ground: Ground) -> None:
    run_id = ground.start("a")
    ground.signal(run_id, "paid", 1)
    claimed = claim(ground, run_id)
    take(ground, claimed, "paid")

    ground.store.save(claimed.lease, a_save(claimed, effects=[done()]), ttl=LEASE)

    assert ground.effects(run_id)["/0/a/0"].state == "done"
