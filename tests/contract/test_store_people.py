"""What both stores promise the engine of questions to people, and of the end of a run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from policy.core.money import Amounts
from policy.errors import ApprovalNotOpen, InvalidDecision
from runs.core.effects import EffectState, Place
from runs.ports import Put
from tests.contract.builds import (
    DIGEST,
    WORST,
    a_model,
    a_save,
    a_tool,
    done,
    ended,
    held,
    in_doubt,
    moved,
    put,
    waiting,
)
from tests.contract.grounds import LEASE, Ground, claim
from tests.contract.postgres_ground import PostgresGround


def test_a_held_effect_waits_with_an_open_question_and_no_money(ground: Ground) -> None:
    run_id = ground.start("a")
    claimed = claim(ground, run_id)

    answer = put(ground, claimed, held())

    approval = ground.approvals(run_id)[0]
    seen = ground.effects(run_id)["/0/a/0"]
    assert answer is Put.OK
    assert (approval.state, approval.kind) == ("open", "tool_call")
    assert (seen.state, seen.attempt) == ("held", 0)
    assert ground.budget(run_id).reserved == Amounts()


@pytest.mark.parametrize(("decision", "state"), [("approve", "approved"), ("reject", "rejected")])
def test_a_decision_wakes_the_run_and_is_found_in_the_ledger(
    ground: Ground, decision: Any, state: str
) -> None:
    run_id = ground.start("a")
    claimed = claim(ground, run_id)
    put(ground, claimed, held())
    ground.store.save(claimed.lease, waiting(claimed), ttl=LEASE)

    ground.decide(ground.approvals(run_id)[0].id, decision, reason="because")

    row = claim(ground, run_id, "w2").ledger[0]
    assert (row.approval, row.approval_digest, row.approval_policy) == (state, DIGEST, "p1")
    assert row.approval_reason == "because"


def test_a_decision_is_made_once(ground: Ground) -> None:
    run_id = ground.start("a")
    put(ground, claim(ground, run_id), held())
    approval = ground.approvals(run_id)[0].id
    ground.decide(approval, "approve")

    with pytest.raises(ApprovalNotOpen):
        ground.decide(approval, "reject", reason="no")

    assert ground.approvals(run_id)[0].state == "approved"


def test_a_decision_fits_its_question_and_a_rejection_has_a_reason(ground: Ground) -> None:
    run_id = ground.start("a")
    put(ground, claim(ground, run_id), held())
    approval = ground.approvals(run_id)[0].id

    with pytest.raises(InvalidDecision):
        ground.decide(approval, "happened")
    with pytest.raises(InvalidDecision):
        ground.decide(approval, "reject", reason="  ")


def test_an_approved_call_that_is_claimed_keeps_its_approval(ground: Ground) -> None:
    run_id = ground.start("a")
    claimed = claim(ground, run_id)
    put(ground, claimed, held())
    ground.decide(ground.approvals(run_id)[0].id, "approve")
    put(ground, claimed, a_tool())
    ground.pass_time(run_id, LEASE + 1)

    row = claim(ground, run_id, "w2").ledger[0]

    assert (row.state, row.approval, row.attempt) == (EffectState.CLAIMED, "approved", 1)


def test_a_question_nobody_answers_expires_and_wakes_the_run(ground: Ground) -> None:
    run_id = ground.start("a")
    claimed = claim(ground, run_id)
    put(ground, claimed, held())
    ground.store.save(claimed.lease, waiting(claimed), ttl=LEASE)
    ground.pass_time(run_id, 3601)

    with pytest.raises(ApprovalNotOpen):
        ground.decide(ground.approvals(run_id)[0].id, "approve")
    ground.sweep(run_id)

    assert claim(ground, run_id, "w2").ledger[0].approval == "expired"


def test_a_call_in_doubt_is_charged_and_put_to_a_person(ground: Ground) -> None:
    run_id = ground.start("a")
    claimed = claim(ground, run_id)

    in_doubt(ground, claimed)
    ground.decide(ground.approvals(run_id)[0].id, "happened", result={"id": 7})

    balance = ground.budget(run_id)
    assert (balance.spent.tool_calls, balance.reserved.tool_calls) == (1, 0)
    ground.pass_time(run_id, LEASE + 1)
    row = claim(ground, run_id, "w2").ledger[0]
    assert (row.state, row.approval, row.approval_result) == (
        EffectState.UNKNOWN,
        "happened",
        {"id": 7},
    )


def test_the_end_of_a_run_withdraws_its_questions_and_fails_what_was_not_sent(
    ground: Ground,
) -> None:
    run_id = ground.start("a")
    claimed = claim(ground, run_id)
    put(ground, claimed, held())
    ground.store.save(claimed.lease, waiting(claimed), ttl=LEASE)

    ground.cancel(run_id)

    assert ground.approvals(run_id)[0].state == "withdrawn"
    seen = ground.effects(run_id)["/0/a/0"]
    assert (seen.state, seen.error_class) == ("failed", "cancellation")
    assert seen.outcome["failed"] == "cancellation"


def test_the_end_of_a_run_settles_what_was_sent_by_its_estimate(ground: Ground) -> None:
    run_id = ground.start("a")
    put(ground, claim(ground, run_id), a_model())
    ground.pass_time(run_id, LEASE + 1)
    again = claim(ground, run_id, "w2")

    ground.store.save(again.lease, ended(again), ttl=LEASE)

    seen, balance = ground.effects(run_id)["/0/a/0"], ground.budget(run_id)
    assert (seen.state, seen.cost, seen.tokens) == ("unknown", WORST.cost, WORST.tokens)
    assert (balance.reserved, balance.spent) == (Amounts(), WORST)


def test_an_outcome_that_comes_with_the_end_is_kept(ground: Ground) -> None:
    run_id = ground.start("a")
    claimed = claim(ground, run_id)
    put(ground, claimed, a_tool())

    ground.store.save(claimed.lease, replace(ended(claimed), effects=[done()]), ttl=LEASE)

    assert ground.effects(run_id)["/0/a/0"].state == "done"
    assert ground.budget(run_id).spent.tool_calls == 1


def test_the_events_of_effects_and_commits_have_one_sequence_without_gaps(ground: Ground) -> None:
    run_id = ground.start("a")
    claimed = claim(ground, run_id)
    put(ground, claimed, a_tool())
    put(ground, claimed, held(Place(0, "a", 1)), done())
    ground.decide(ground.approvals(run_id)[0].id, "approve")
    put(ground, claimed, a_tool(Place(0, "a", 1)))
    save = a_save(claimed, effects=[done(Place(0, "a", 1))])
    saved = ground.store.save(claimed.lease, save, ttl=LEASE)
    claimed = replace(moved(claimed), wakeups=saved.wakeups)
    put(ground, claimed, a_tool(Place(1, "a", 0)))
    ground.store.save(claimed.lease, ended(claimed), ttl=LEASE)

    seen = ground.events(run_id)

    assert [number for number, _ in seen] == list(range(1, len(seen) + 1))
    assert [kind for _, kind in seen] == [
        "run.queued",
        "run.started",
        "effect.done",
        "approval.requested",
        "approval.decided",
        "effect.done",
        "super_step.committed",
    ]


def test_every_move_of_an_effect_stands_in_the_audit_log(postgres: PostgresGround) -> None:
    run_id = postgres.start("a")
    claimed = claim(postgres, run_id)
    put(postgres, claimed, held())
    postgres.decide(postgres.approvals(run_id)[0].id, "approve")
    put(postgres, claimed, a_tool())
    put(postgres, claimed, held(Place(0, "a", 1)), done())
    put(postgres, claimed, a_tool(Place(0, "a", 2)))
    postgres.store.save(claimed.lease, ended(claimed), ttl=LEASE)

    assert postgres.audit(run_id) == [
        "run.started",
        "approval.requested",
        "effect.held",
        "approval.decided",
        "effect.claimed",
        "effect.done",
        "approval.requested",
        "effect.held",
        "effect.claimed",
        "approval.withdrawn",
        "effect.failed",
        "effect.unknown",
        "run.cancelled",
    ]
