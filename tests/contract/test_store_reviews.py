"""What time does to questions that nobody answers, and answers that take the place of calls."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from policy.core.rules.approvals import ApprovalTerms, OnTimeout, Rung
from policy.errors import ApprovalNotOpen
from runs.core.effects import Recorded
from tests.contract.builds import held, in_doubt, put, waiting
from tests.contract.grounds import LEASE, Ground, claim

HOUR = timedelta(hours=1)
LADDER = (
    Rung(after=timedelta(minutes=10), groups=("leads",)),
    Rung(after=timedelta(minutes=30), owners=("cfo",)),
)


def asked(ground: Ground, **question: Any) -> str:
    """A run that waits for an answer within an hour."""
    run_id = ground.start("a")
    claimed = claim(ground, run_id)
    put(ground, claimed, held(**question))
    ground.store.save(claimed.lease, waiting(claimed), ttl=LEASE)
    return run_id


def found(ground: Ground, run_id: str) -> Recorded:
    return claim(ground, run_id, "w2").ledger[0]


def test_an_answer_takes_the_place_of_the_call(ground: Ground) -> None:
    run_id = asked(ground)

    ground.decide(ground.approvals(run_id)[0].id, "respond", result="to the old account")

    row = found(ground, run_id)
    assert row.approval == "responded"
    assert row.answer == {"answered_by": row.approval_by, "answer": "to the old account"}


@pytest.mark.parametrize(("kind", "shown"), [("answer", {"order": 1}), ("tool_call", None)])
def test_what_was_shown_of_a_runs_answer_comes_back_with_the_decision(
    ground: Ground, kind: str, shown: Any
) -> None:
    run_id = asked(ground, kind=kind)

    ground.decide(ground.approvals(run_id)[0].id, "approve")

    row = found(ground, run_id)
    assert (row.approval, row.approval_arguments) == ("approved", shown)


@pytest.mark.parametrize(
    ("risk", "on_timeout", "state"),
    [
        ("low", OnTimeout.APPROVE, "approved"),
        ("medium", OnTimeout.APPROVE, "expired"),
        ("critical", OnTimeout.APPROVE, "expired"),
        ("", OnTimeout.APPROVE, "expired"),
        ("low", OnTimeout.REJECT, "expired"),
    ],
)
def test_the_declared_default_decides_when_nobody_does(
    ground: Ground, risk: str, on_timeout: OnTimeout, state: str
) -> None:
    terms = ApprovalTerms(expires_after=HOUR, on_timeout=on_timeout)
    run_id = asked(ground, risk=risk, terms=terms)

    ground.pass_time(run_id, 3601)
    ground.sweep(run_id)

    assert found(ground, run_id).approval == state


def test_an_unknown_outcome_is_never_settled_by_time(ground: Ground) -> None:
    run_id = ground.start("a")
    in_doubt(ground, claim(ground, run_id))

    ground.pass_time(run_id, 3601)
    ground.sweep(run_id)

    assert ground.approvals(run_id)[0].state == "expired"


def test_a_ladder_adds_those_who_may_decide_rung_by_rung(ground: Ground) -> None:
    terms = ApprovalTerms(expires_after=HOUR, groups=("desk",), escalate=LADDER)
    run_id = asked(ground, terms=terms)
    seen = []

    for minutes in (9, 2, 20):
        ground.pass_time(run_id, minutes * 60)
        ground.sweep(run_id)
        question = ground.approvals(run_id)[0]
        seen.append((sorted(question.groups), sorted(question.owners), question.state))

    assert seen == [
        (["desk"], [], "open"),
        (["desk", "leads"], [], "open"),
        (["desk", "leads"], ["cfo"], "open"),
    ]


def test_where_everybody_may_decide_a_ladder_shuts_nobody_out(ground: Ground) -> None:
    run_id = asked(ground, terms=ApprovalTerms(expires_after=HOUR, escalate=LADDER))

    ground.pass_time(run_id, 700)
    ground.sweep(run_id)

    question = ground.approvals(run_id)[0]
    assert (question.groups, question.owners, question.rung) == (set(), set(), 1)


def test_a_sweeper_that_was_away_makes_up_for_it_in_one_round(ground: Ground) -> None:
    terms = ApprovalTerms(expires_after=HOUR, groups=("desk",), escalate=LADDER)
    run_id = asked(ground, terms=terms)

    ground.pass_time(run_id, 2400)
    ground.sweep(run_id)
    ground.sweep(run_id)

    question = ground.approvals(run_id)[0]
    assert (question.rung, question.groups, question.owners) == (2, {"desk", "leads"}, {"cfo"})


def test_the_last_rung_gets_the_same_time_once_and_then_it_is_over(ground: Ground) -> None:
    terms = ApprovalTerms(
        expires_after=HOUR, groups=("desk",), on_timeout=OnTimeout.ESCALATE, escalate=LADDER
    )
    run_id = asked(ground, terms=terms)

    ground.pass_time(run_id, 3601)
    with pytest.raises(ApprovalNotOpen):
        ground.decide(ground.approvals(run_id)[0].id, "approve")
    ground.sweep(run_id)
    handed = ground.approvals(run_id)[0]
    ground.pass_time(run_id, 3590)
    ground.sweep(run_id)
    still = ground.approvals(run_id)[0]
    ground.pass_time(run_id, 20)
    ground.sweep(run_id)

    assert (handed.state, handed.groups, handed.owners) == ("open", set(), {"cfo"})
    assert still.state == "open"
    assert found(ground, run_id).approval == "expired"


def test_a_decision_on_the_way_up_is_the_last_word(ground: Ground) -> None:
    run_id = asked(ground, terms=ApprovalTerms(expires_after=HOUR, escalate=LADDER))
    ground.pass_time(run_id, 700)
    ground.sweep(run_id)

    ground.decide(ground.approvals(run_id)[0].id, "approve")
    ground.pass_time(run_id, 7200)
    ground.sweep(run_id)

    assert found(ground, run_id).approval == "approved"
