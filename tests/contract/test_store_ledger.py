"""What both stores promise the engine of effects: written before they are sent, and once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from policy.core.money import Amounts, Limits
from policy.core.outcomes import ErrorClass
from runs.core.effects import EffectState, Place
from runs.core.lifecycle import Reason, RunState
from runs.core.results import Finished
from runs.errors import LeaseLost
from runs.ports import Put, Settled
from tests.contract.builds import (
    DIGEST,
    FIRST,
    a_model,
    a_save,
    a_tool,
    at_once,
    done,
    fanned_out,
    put,
    waiting,
)
from tests.contract.grounds import LEASE, Ground, claim, claim_task


def test_an_effect_is_in_the_ledger_before_anything_is_sent(ground: Ground) -> None:
    run_id = ground.start("a")
    claimed = claim(ground, run_id)

    answer = put(ground, claimed, a_tool())

    seen = ground.effects(run_id)["/0/a/0"]
    assert answer is Put.OK
    assert (seen.state, seen.attempt, seen.version) == ("claimed", 1, "1")


def test_a_claim_tells_what_the_run_has_spent_and_how_many_tools_it_called(
    ground: Ground,
) -> None:
    run_id = ground.start("a")
    claimed = claim(ground, run_id)
    put(ground, claimed, a_tool())
    put(ground, claimed, a_model(Place(0, "a", 1)), done())
    put(ground, claimed, a_tool(Place(0, "a", 2)), done(Place(0, "a", 1), cost=Decimal("0.25")))
    ground.pass_time(run_id, LEASE + 1)

    again = claim(ground, run_id, "w2")

    assert (claimed.spent, claimed.calls) == (Decimal(0), 0)
    assert (again.spent, again.calls) == (Decimal("0.25"), 2)
    assert again.tenant != ""


def test_the_next_attempt_finds_what_was_asked_and_what_came_of_it(ground: Ground) -> None:
    run_id = ground.start("a")
    claimed = claim(ground, run_id)
    put(ground, claimed, a_tool())
    put(ground, claimed, a_tool(Place(0, "a", 1)), done())
    ground.pass_time(run_id, LEASE + 1)

    ledger = sorted(claim(ground, run_id, "w2").ledger, key=lambda row: row.place)

    assert [(row.place, row.state) for row in ledger] == [
        (FIRST, EffectState.DONE),
        (Place(0, "a", 1), EffectState.CLAIMED),
    ]
    assert ledger[0].outcome == {"value": "ok"}
    assert ledger[0].digest == DIGEST


def test_a_new_super_step_begins_with_an_empty_ledger(ground: Ground) -> None:
    run_id = ground.start("a")
    claimed = claim(ground, run_id)
    put(ground, claimed, a_tool())
    save = a_save(claimed, RunState.QUEUED, effects=[done()])

    ground.store.save(claimed.lease, save, ttl=LEASE)

    assert list(claim(ground, run_id, "w2").ledger) == []
    assert ground.effects(run_id)["/0/a/0"].state == "done"


def test_a_zombie_writes_no_effect_down(ground: Ground) -> None:
    run_id = ground.start("a")
    zombie = claim(ground, run_id)
    put(ground, zombie, a_tool())
    ground.pass_time(run_id, LEASE + 1)
    claim(ground, run_id, "w2")

    answer = put(ground, zombie, a_tool(Place(0, "a", 1)), done())

    assert answer is Put.LEASE_LOST
    assert {key: seen.state for key, seen in ground.effects(run_id).items()} == {
        "/0/a/0": "claimed"
    }


def test_a_zombie_of_a_task_writes_no_effect_down(ground: Ground) -> None:
    run_id = ground.start("a", "b", "c")
    nudge = fanned_out(ground, run_id)[0]
    zombie = claim_task(ground, nudge)
    ground.pass_time(run_id, LEASE + 1)
    claim_task(ground, nudge, "w2")

    assert put(ground, zombie, a_tool()) is Put.LEASE_LOST
    assert ground.effects(run_id) == {}


def test_tasks_of_one_super_step_write_effects_side_by_side(ground: Ground) -> None:
    run_id = ground.start("a", "b", "c")
    tasks = [claim_task(ground, nudge) for nudge in fanned_out(ground, run_id)]

    answers = at_once(
        [lambda t=t: put(ground, t, a_tool(Place(0, t.lease.task, 0))) for t in tasks]  # type: ignore[misc]
    )

    assert answers == [Put.OK] * 3
    assert sorted(ground.effects(run_id)) == ["/0/a/0", "/0/b/0", "/0/c/0"]
    assert ground.budget(run_id).reserved.tool_calls == 3


def test_a_finished_task_settles_its_effects_with_its_result(ground: Ground) -> None:
    run_id = ground.start("a", "b", "c")
    task = claim_task(ground, fanned_out(ground, run_id)[0])
    put(ground, task, a_tool())

    ground.store.finish_task(task.lease, Finished(writes={}), [done()], ttl=LEASE)

    assert ground.effects(run_id)["/0/a/0"].state == "done"
    assert ground.budget(run_id).spent.tool_calls == 1


def test_a_zombie_that_finishes_a_task_settles_nothing(ground: Ground) -> None:
    run_id = ground.start("a", "b", "c")
    nudge = fanned_out(ground, run_id)[0]
    zombie = claim_task(ground, nudge)
    put(ground, zombie, a_tool())
    ground.pass_time(run_id, LEASE + 1)
    claim_task(ground, nudge, "w2")

    with pytest.raises(LeaseLost):
        ground.store.finish_task(zombie.lease, Finished(writes={}), [done()], ttl=LEASE)

    assert ground.effects(run_id)["/0/a/0"].state == "claimed"


def test_what_came_of_the_effect_before_is_written_even_if_the_next_is_refused(
    ground: Ground,
) -> None:
    run_id = ground.start("a", limits=Limits(tool_calls=1))
    claimed = claim(ground, run_id)
    put(ground, claimed, a_tool())

    answer = put(ground, claimed, a_tool(Place(0, "a", 1)), done())

    assert answer is Put.TOOL_CALLS
    assert {key: seen.state for key, seen in ground.effects(run_id).items()} == {"/0/a/0": "done"}


def test_an_effect_that_was_refused_is_recorded_as_failed(ground: Ground) -> None:
    run_id = ground.start("a")
    claimed = claim(ground, run_id)
    wish = a_tool(
        state=EffectState.FAILED,
        reserve=Amounts(),
        outcome={"failed": "policy_denied", "detail": "no"},
        error_class=ErrorClass.POLICY_DENIED,
        decision={"decision": "deny"},
    )

    put(ground, claimed, wish)

    seen = ground.effects(run_id)["/0/a/0"]
    assert (seen.state, seen.attempt, seen.error_class) == ("failed", 0, "policy_denied")
    assert ground.events(run_id)[-1][1] == "effect.failed"


def test_no_effect_begins_after_a_cancellation(ground: Ground) -> None:
    run_id = ground.start("a")
    claimed = claim(ground, run_id)
    put(ground, claimed, a_tool())
    ground.cancel(run_id)

    answer = put(ground, claimed, a_tool(Place(0, "a", 1)), done())

    assert answer is Put.CANCELLED
    assert {key: seen.state for key, seen in ground.effects(run_id).items()} == {"/0/a/0": "done"}


def test_no_effect_of_a_task_begins_after_a_cancellation(ground: Ground) -> None:
    run_id = ground.start("a", "b", "c")
    nudges = fanned_out(ground, run_id)
    task = claim_task(ground, nudges[0])
    ground.cancel(run_id)

    assert put(ground, task, a_tool()) is Put.CANCELLED
    assert claim_task(ground, nudges[1]).cancel is True


def test_no_effect_begins_after_the_deadline(ground: Ground) -> None:
    run_id = ground.start("a", deadline=timedelta(seconds=30))
    claimed = claim(ground, run_id)
    ground.pass_time(run_id, 31)

    assert put(ground, claimed, a_tool()) is Put.DEADLINE
    assert ground.effects(run_id) == {}


def test_the_ledger_names_the_version_that_was_really_called(ground: Ground) -> None:
    run_id = ground.start("a")
    put(ground, claim(ground, run_id), a_tool())
    ground.pass_time(run_id, LEASE + 1)

    put(ground, claim(ground, run_id, "w2"), a_tool(version="2"))

    assert ground.effects(run_id)["/0/a/0"].version == "2"


def test_what_a_hook_found_stands_in_the_ledger_beside_the_attempts(ground: Ground) -> None:
    run_id = ground.start("a")
    claimed = claim(ground, run_id)
    put(ground, claimed, a_tool())
    put(ground, claimed, a_tool(state=EffectState.UNKNOWN, reserve=Amounts(), lost="it died"))
    answer = replace(done(), found={"reconcile": "happened"})

    ground.store.save(claimed.lease, a_save(claimed, RunState.QUEUED, effects=[answer]), ttl=LEASE)

    seen = ground.effects(run_id)["/0/a/0"]
    assert (seen.state, seen.outcome) == ("done", {"value": "ok"})
    assert [entry.get("reconcile", entry.get("detail")) for entry in seen.attempts] == [
        "it died",
        "happened",
    ]


def test_looking_again_leaves_an_effect_unknown_and_its_money_settled(ground: Ground) -> None:
    run_id = ground.start("a")
    claimed = claim(ground, run_id)
    put(ground, claimed, a_tool())
    put(ground, claimed, a_tool(state=EffectState.UNKNOWN, reserve=Amounts(), lost="it died"))
    again = Settled(
        place=FIRST,
        state=EffectState.UNKNOWN,
        outcome={"looking": {"looks": 1}},
        found={"reconcile": "failed"},
    )

    ground.store.save(
        claimed.lease, waiting(claimed, reason=Reason.TIMER, effects=[again]), ttl=LEASE
    )

    seen = ground.effects(run_id)["/0/a/0"]
    assert (seen.state, seen.outcome) == ("unknown", {"looking": {"looks": 1}})
    balance = ground.budget(run_id)
    assert (balance.spent.tool_calls, balance.reserved.tool_calls) == (1, 0)
