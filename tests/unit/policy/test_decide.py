"""Judging a call: deny by default, and never a milder verdict because something broke."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from policy.core.rules.decide import (
    CallRequest,
    Condition,
    Decision,
    EffectClass,
    Policy,
    Principal,
    Rule,
    decide,
)

STRICTNESS = {Decision.ALLOW: 0, Decision.REQUIRE_APPROVAL: 1, Decision.DENY: 2}
CALL = CallRequest(
    tool="payments.refund",
    version="1",
    arguments={"amount": 42},
    effect=EffectClass.ONCE,
    agent="refunds",
    principal=Principal(id="p1", name="Ann", roles=("operator",)),
)


def always(answer: object) -> Condition:
    def condition(_facts: Mapping[str, Any]) -> bool:
        return answer  # type: ignore[return-value]

    return condition


def broken(_facts: Mapping[str, Any]) -> bool:
    raise KeyError("amount")


NOT_BOOL = always("yes")
DOUBTFUL = (broken, NOT_BOOL)


def a_policy(*rules: Rule) -> Policy:
    return Policy.of("v1", [replace(rule, position=i) for i, rule in enumerate(rules)])


rules = st.builds(
    Rule,
    name=st.just("rule"),
    decision=st.sampled_from(Decision),
    tools=st.sampled_from(["*", "payments.*", "payments.refund", "crm.*"]),
    agents=st.sampled_from(["*", "refunds", "other"]),
    effects=st.sets(st.sampled_from(EffectClass), max_size=2).map(frozenset),
    condition=st.sampled_from([None, always(True), always(False), *DOUBTFUL]),
    priority=st.integers(-2, 2),
)


@given(st.lists(rules, max_size=6))
def test_an_error_never_gives_a_milder_verdict_than_either_truth(written: list[Rule]) -> None:
    given_verdict = decide(a_policy(*written), CALL).decision

    for truth in (True, False):
        world = [
            replace(rule, condition=always(truth)) if rule.condition in DOUBTFUL else rule
            for rule in written
        ]
        assert STRICTNESS[given_verdict] >= STRICTNESS[decide(a_policy(*world), CALL).decision]


@given(st.lists(rules, max_size=6))
def test_only_a_rule_that_holds_allows(written: list[Rule]) -> None:
    verdict = decide(a_policy(*written), CALL)

    if verdict.decision is Decision.ALLOW:
        assert any(
            rule.decision is Decision.ALLOW and rule.condition not in DOUBTFUL for rule in written
        )


@given(st.lists(rules, max_size=6))
def test_nothing_ungranted_is_allowed(written: list[Rule]) -> None:
    verdict = decide(a_policy(*written), replace(CALL, granted=False))

    assert verdict.decision is Decision.DENY


def test_no_rule_means_no() -> None:
    assert decide(a_policy(), CALL).decision is Decision.DENY


def test_rules_are_asked_by_priority_and_then_as_written() -> None:
    low = Rule(name="low", decision=Decision.ALLOW)
    high = Rule(name="high", decision=Decision.DENY, priority=1)

    assert decide(a_policy(low, high), CALL).rule == "high"
    assert decide(a_policy(low, replace(high, priority=0)), CALL).rule == "low"


def test_a_doubtful_hold_is_kept_unless_what_follows_denies() -> None:
    hold = Rule(name="hold", decision=Decision.REQUIRE_APPROVAL, condition=broken)
    allow = Rule(name="allow", decision=Decision.ALLOW)
    deny = Rule(name="deny", decision=Decision.DENY)

    assert decide(a_policy(hold, allow), CALL).rule == "hold"
    assert decide(a_policy(hold, deny), CALL).rule == "deny"
    assert decide(a_policy(hold), CALL).decision is Decision.DENY


def test_an_allowing_rule_in_doubt_is_passed_over() -> None:
    allow = Rule(name="allow", decision=Decision.ALLOW, condition=broken)

    assert decide(a_policy(allow), CALL).decision is Decision.DENY
