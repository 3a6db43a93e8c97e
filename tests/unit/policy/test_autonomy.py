"""The ceiling over the rules: how far an agent version may go by itself."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from policy.core.rules.decide import (
    Autonomy,
    CallRequest,
    Decision,
    EffectClass,
    Policy,
    Principal,
    Risk,
    Rule,
    decide,
)
from policy.core.rules.recorded import facts_of, request_of
from tests.unit.policy.calls import requests

STRICTNESS = {Decision.ALLOW: 0, Decision.REQUIRE_APPROVAL: 1, Decision.DENY: 2}
CALL = CallRequest(
    tool="payments.refund",
    version="1",
    arguments={"amount": 42},
    effect=EffectClass.ONCE,
    agent="refunds",
    principal=Principal(id="p1", name="Ann"),
)
READ = replace(CALL, effect=EffectClass.READ)
SENDING = replace(READ, egress=True)
LESS = [Autonomy.OBSERVE, Autonomy.SUGGEST, Autonomy.ACT_WITH_APPROVAL, Autonomy.ACT_WITHIN_LIMITS]


def under(decision: Decision) -> Policy:
    return Policy.of("v1", [Rule(name="the rule", decision=decision)])


def judged(call: CallRequest, autonomy: Autonomy, decision: Decision = Decision.ALLOW) -> Decision:
    return decide(under(decision), replace(call, autonomy=autonomy)).decision


def test_whoever_only_observes_or_suggests_changes_nothing_and_sends_nothing() -> None:
    for autonomy in (Autonomy.OBSERVE, Autonomy.SUGGEST):
        assert judged(CALL, autonomy) is Decision.DENY
        assert judged(SENDING, autonomy) is Decision.DENY
        assert judged(READ, autonomy) is Decision.ALLOW


def test_acting_with_approval_holds_whatever_a_rule_allows() -> None:
    assert judged(CALL, Autonomy.ACT_WITH_APPROVAL) is Decision.REQUIRE_APPROVAL
    assert judged(SENDING, Autonomy.ACT_WITH_APPROVAL) is Decision.REQUIRE_APPROVAL
    assert judged(READ, Autonomy.ACT_WITH_APPROVAL) is Decision.ALLOW


def test_acting_within_limits_holds_what_is_grave_or_cannot_be_undone() -> None:
    mild = replace(CALL, risk=Risk.MEDIUM, reversible=True)
    grave = [
        replace(mild, risk=Risk.HIGH),
        replace(mild, risk=Risk.CRITICAL),
        replace(mild, reversible=False),
        replace(mild, reversible=None),
    ]

    assert judged(mild, Autonomy.ACT_WITHIN_LIMITS) is Decision.ALLOW
    for call in grave:
        assert judged(call, Autonomy.ACT_WITHIN_LIMITS) is Decision.REQUIRE_APPROVAL


def test_a_verdict_that_autonomy_made_says_so_and_still_names_the_rule() -> None:
    verdict = decide(under(Decision.ALLOW), replace(CALL, autonomy=Autonomy.SUGGEST))

    assert (verdict.rule, verdict.ceiling) == ("the rule", "suggest")
    assert verdict.reason == "denied: agent refunds acts under autonomy suggest"


@given(requests, st.sampled_from(Decision), st.sampled_from(LESS))
def test_autonomy_never_makes_a_verdict_milder(
    call: CallRequest, decision: Decision, autonomy: Autonomy
) -> None:
    free = judged(call, Autonomy.ACT, decision)

    assert STRICTNESS[judged(call, autonomy, decision)] >= STRICTNESS[free]


@given(requests)
def test_the_facts_that_are_recorded_give_the_same_call_again(call: CallRequest) -> None:
    again = request_of(call.tool, call.arguments, facts_of(call))

    assert again == call
