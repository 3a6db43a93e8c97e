"""What both stores say to a worker that lost an answer, and takes what it holds again."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from runs.core.effects import EffectState, Place
from runs.core.lifecycle import RunState
from runs.errors import LeaseLost
from runs.ports import Claimed, Lease, Nudge, Put, Settled
from tests.contract.builds import (
    FIRST,
    WORST,
    a_model,
    a_save,
    a_tool,
    done,
    ended,
    fanned_out,
    finish,
    put,
)
from tests.contract.grounds import LEASE, Ground, claim, claim_task

PAID: dict[str, Any] = {"cost": Decimal("0.2"), "input_tokens": 7}


def again(
    ground: Ground, run: str | Nudge, lease: Lease | None, *known: Settled, worker: str = "w1"
) -> Claimed | None:
    nudge = run if isinstance(run, Nudge) else Nudge(tenant_id=ground.tenant, run_id=run)
    return ground.store.claim_again(nudge, lease, known, worker=worker, ttl=LEASE)


def test_a_worker_takes_its_own_run_again_at_once_and_counts_no_crash(ground: Ground) -> None:
    run_id = ground.start("a")
    held = claim(ground, run_id)

    found = again(ground, run_id, held.lease)

    assert found is not None
    assert (found.lease.token, ground.run(run_id).crashes) == (2, 0)
    with pytest.raises(LeaseLost):
        ground.store.save(held.lease, a_save(held), ttl=LEASE)
    ground.store.save(found.lease, a_save(found), ttl=LEASE)
    kinds = [kind for _, kind in ground.events(run_id)]
    assert kinds.count("run.started") == 1


def test_nobody_takes_again_what_another_worker_holds(ground: Ground) -> None:
    run_id = ground.start("a", "b", "c")
    held = claim(ground, run_id)
    stolen = (
        again(ground, run_id, None, worker="w2"),
        again(ground, run_id, held.lease, worker="w2"),
    )
    nudge = ground.store.fan_out(held.lease, ["a", "b", "c"])[0]
    task = claim_task(ground, nudge)

    of_task = again(ground, nudge, None, worker="w2"), again(ground, nudge, task.lease, worker="w2")

    assert (*stolen, *of_task) == (None, None, None, None)
    finish(ground, task)


def test_a_run_whose_lease_ran_out_meanwhile_crashed_only_if_another_took_it(
    ground: Ground,
) -> None:
    ours, theirs = ground.start("a"), ground.start("a")
    held, lost = claim(ground, ours), claim(ground, theirs)
    for run_id in (ours, theirs):
        ground.pass_time(run_id, LEASE + 1)
    claim(ground, theirs, "w2")

    assert again(ground, ours, held.lease) is not None
    assert again(ground, theirs, lost.lease) is None
    assert (ground.run(ours).crashes, ground.run(theirs).crashes) == (0, 1)


def test_what_is_known_of_a_call_is_written_down_and_paid_once(ground: Ground) -> None:
    run_id = ground.start("a")
    held = claim(ground, run_id)
    put(ground, held, a_model())

    first = again(ground, run_id, held.lease, done(**PAID))
    assert first is not None
    second = again(ground, run_id, first.lease, done(**PAID))

    assert second is not None
    assert [(row.state, row.outcome) for row in second.ledger] == [("done", {"value": "ok"})]
    (row,) = ground.effects(run_id).values()
    assert (row.cost, row.attempt, row.estimated) == (Decimal("0.2"), 1, False)
    assert ground.budget(run_id).spent.cost == Decimal("0.2")
    assert ground.budget(run_id).reserved.cost == 0
    kinds = [kind for _, kind in ground.events(run_id)]
    assert kinds.count("effect.done") == 1


def test_what_a_lost_statement_wrote_down_after_all_is_not_written_again(ground: Ground) -> None:
    run_id = ground.start("a")
    held = claim(ground, run_id)
    put(ground, held, a_model())
    second = Place(0, "a", 1)
    put(ground, held, a_model(second), done(**PAID))

    found = again(ground, run_id, held.lease, done(**PAID))

    assert found is not None
    assert {row.place: row.state for row in found.ledger} == {FIRST: "done", second: "claimed"}
    assert ground.budget(run_id).spent.cost == Decimal("0.2")
    assert ground.budget(run_id).reserved.cost == WORST.cost


def test_what_was_not_sent_under_this_lease_says_nothing_of_a_call_of_the_last(
    ground: Ground,
) -> None:
    run_id = ground.start("a")
    put(ground, claim(ground, run_id), a_tool())
    ground.pass_time(run_id, LEASE + 1)
    heir = claim(ground, run_id, "w2")
    not_sent = Settled(place=FIRST, state=EffectState.RETRYING, attempt_failed={"detail": "no"})

    found = again(ground, run_id, heir.lease, not_sent, worker="w2")

    assert found is not None
    assert [row.state for row in found.ledger] == ["claimed"]


def test_a_claim_whose_answer_was_lost_is_made_good(ground: Ground) -> None:
    queued, won = ground.start("a"), ground.start("a")
    claim(ground, won)

    found = [again(ground, run_id, None) for run_id in (queued, won)]

    assert [one and one.lease.token for one in found] == [1, 2]
    assert ground.run(won).crashes == 0


def test_a_claim_that_was_lost_takes_nothing_under_which_a_call_is_under_way(
    ground: Ground,
) -> None:
    run_id = ground.start("a", "b", "c")
    held = claim(ground, run_id)
    put(ground, held, a_tool())
    of_run = again(ground, run_id, None)
    ground.store.save(held.lease, a_save(held), ttl=LEASE)
    other = ground.start("a", "b", "c")
    nudge = fanned_out(ground, other)[0]
    task = claim_task(ground, nudge)
    assert put(ground, task, a_tool()) is Put.OK

    of_task = again(ground, nudge, None)

    assert (of_run, of_task) == (None, None)
    finish(ground, task)


def test_a_lease_that_is_not_the_newest_takes_and_writes_nothing(ground: Ground) -> None:
    run_id = ground.start("a")
    old = claim(ground, run_id)
    put(ground, old, a_tool())
    newest = again(ground, run_id, old.lease)
    assert newest is not None
    put(ground, newest, a_tool())

    assert again(ground, run_id, old.lease, done()) is None
    assert [row.state for row in ground.effects(run_id).values()] == ["claimed"]
    ground.store.save(newest.lease, a_save(newest), ttl=LEASE)


def test_a_save_that_counted_is_gone_on_from(ground: Ground) -> None:
    run_id, over = ground.start("a"), ground.start("a")
    held, last = claim(ground, run_id), claim(ground, over)
    put(ground, held, a_tool())
    ground.store.save(held.lease, a_save(held, effects=[done()]), ttl=LEASE)
    ground.store.save(last.lease, ended(last), ttl=LEASE)

    found = again(ground, run_id, held.lease, done())

    assert found is not None
    assert (found.lease.super_step, found.ledger) == (1, [])
    assert again(ground, over, last.lease) is None
    assert ground.run(over).state == RunState.CANCELLED


def test_a_run_that_was_fanned_out_is_left_to_its_tasks(ground: Ground) -> None:
    run_id = ground.start("a", "b", "c")
    held = claim(ground, run_id)
    ground.store.fan_out(held.lease, ["a", "b", "c"])

    assert again(ground, run_id, held.lease) is None


def test_a_task_is_taken_again_with_what_is_known_of_its_calls(ground: Ground) -> None:
    run_id = ground.start("a", "b", "c")
    nudges = fanned_out(ground, run_id)
    held, sibling = claim_task(ground, nudges[0]), claim_task(ground, nudges[1])
    put(ground, held, a_model())
    place = Place(0, "b", 0)
    put(ground, sibling, a_model(place))

    found = again(ground, nudges[0], held.lease, done(**PAID), done(place, **PAID))

    assert found is not None
    assert (found.lease.token, found.lease.task, found.crashes) == (2, "a", 0)
    assert {row.place: row.state for row in found.ledger} == {FIRST: "done", place: "claimed"}
    assert ground.budget(run_id).spent.cost == Decimal("0.2")
    with pytest.raises(LeaseLost):
        finish(ground, held)
    finish(ground, found)
    finish(ground, sibling)


def test_a_run_won_by_the_last_task_is_taken_again(ground: Ground) -> None:
    run_id = ground.start("a", "b", "c")
    nudges = fanned_out(ground, run_id)
    *others, last = [claim_task(ground, nudge) for nudge in nudges]
    for task in (*others, last):
        finish(ground, task, sum=1)

    assert again(ground, nudges[-1], last.lease) is None
    found = again(ground, run_id, None)

    assert found is not None
    assert (found.lease.token, sorted(found.kept)) == (3, ["a", "b", "c"])
    assert ground.run(run_id).crashes == 0
