"""The example agents, played in memory under their own policy and by their own model."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from runs.agents import registry
from runs.testing import Played, ScriptedModel, play

EXAMPLES = Path(__file__).parents[3] / "examples" / "agents"
POLICY = EXAMPLES / "policy.yaml"


@pytest.fixture(autouse=True)
def _loaded() -> None:
    registry.load([EXAMPLES])


def played(agent: str, given: Any, **more: Any) -> Played:
    model = ScriptedModel(sys.modules["agents.fast_model"].fast)
    return play(agent, given, model=model, policy=POLICY, **more)


def refund(order: int) -> Played:
    return played("refunds", {"order": order, "reason": "it leaks"})


def test_a_small_refund_needs_nobody() -> None:
    done = refund(1001)

    assert done.output["refunded"] == 39.9
    assert done.output["told_customer"].startswith("39.90 were paid back, receipt R-")
    assert [call.name for call in done.calls] == ["orders.find", "payments.refund", "mail.send"]


def test_a_larger_refund_waits_for_a_person() -> None:
    waiting = refund(1002)
    before = waiting.state, waiting.approvals[0].rule
    waiting.approve()

    assert before == ("interrupted", "larger refunds")
    assert waiting.output["refunded"] == 420.0


def test_a_rejected_refund_is_explained_to_the_customer() -> None:
    done = refund(1002).reject("the brakes are fine")

    assert done.output["refunded"] == 0
    assert "the brakes are fine" in done.output["told_customer"]


def test_a_refund_that_cannot_be_is_denied_and_explained() -> None:
    done = refund(1003)

    assert (done.state, done.output["refunded"]) == ("succeeded", 0)
    assert "no order here costs more than 5000" in done.output["told_customer"]


def test_an_order_that_does_not_exist_fails_the_run() -> None:
    assert refund(9999).error.endswith("there is no order 9999")


def test_research_looks_everything_up_and_names_its_sources() -> None:
    done = played("research", "what happens when a worker dies")

    assert done.state == "succeeded", done.error
    assert len(done.channels["findings"]) == 3
    assert {"lease", "fencing", "ledger"} <= set(done.output["sources"])


def test_support_answers_refunds_and_writes() -> None:
    answered = played("support", "Where is my order 1001?")
    refunding = played("support", "Please refund order 1004.")
    writing = played("support", "Tell press@papers.example what is in order 1005.")

    assert "a kettle" in answered.output["answer"]
    assert refunding.approvals[0].arguments == {"order": 1004, "amount": 249.0}
    assert writing.approvals[0].rule == "mail to anybody else"


@pytest.mark.parametrize(
    ("agent", "given"),
    [
        ("refunds", {"order": 1001, "reason": "it leaks"}),
        ("research", "leases"),
        ("support", "Where is my order 1001?"),
    ],
)
def test_a_crash_at_any_moment_makes_no_second_effect(agent: str, given: Any) -> None:
    twin = played(agent, given)

    for death in range(1, twin.writes + 1):
        again = played(agent, given, crash_before_write=death)
        if again.state == "interrupted":
            again.happened({"receipt": "R-books", "amount": 39.9})
        assert again.state == twin.state
        assert len([c for c in again.calls if c.name == "payments.refund"]) <= 1
