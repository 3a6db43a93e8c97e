"""Explanations: which rule, which clause, what else, and what would change it."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from policy import documents
from policy.core.rules.decide import (
    Autonomy,
    CallRequest,
    Decision,
    EffectClass,
    Policy,
    Principal,
    decide,
)
from policy.core.rules.explain import Explanation, Part, explain
from tests.unit.policy.calls import documents_of_rules, requests

CALL = CallRequest(
    tool="payments.refund",
    version="1",
    arguments={"amount": 420, "currency": "EUR"},
    effect=EffectClass.ONCE,
    agent="refunds",
    principal=Principal(id="p1", name="Ann", roles=("operator",)),
)
REFUNDS = """
rules:
  - {name: not at night, decision: deny, tools: payments.*, when: calls > 100}
  - {name: small, decision: allow, tools: payments.*, arguments: {amount: {at_most: 100}},
     when: 'args.currency == "EUR"'}
  - {name: any, decision: require_approval, tools: payments.*}
  - {name: others, decision: allow, tools: crm.*, effects: [read]}
  - {name: rest, decision: deny}
"""


def of(text: str) -> Policy:
    return Policy.of("v1", documents.read(text).compiled())


def parts(explanation: Explanation) -> dict[str, Part]:
    return {report.name: report.part for report in explanation.rules}


def test_it_names_the_rule_what_was_passed_over_and_what_else_matched() -> None:
    explained = explain(of(REFUNDS), CALL)

    assert explained.verdict == decide(of(REFUNDS), CALL)
    assert parts(explained) == {
        "not at night": Part.PASSED,
        "small": Part.PASSED,
        "any": Part.DECIDED,
        "others": Part.PASSED,
        "rest": Part.MATCHED,
    }
    assert [(f.clause, f.seen) for f in explained.clauses] == [("tools", "payments.refund")]


def test_it_says_what_is_missing_of_the_nearest_rule_that_would_allow() -> None:
    nearest = explain(of(REFUNDS), CALL).changes[0]

    assert (nearest.decision, nearest.rule, nearest.before) == (Decision.ALLOW, "small", "")
    (missing,) = nearest.missing
    assert (missing.clause, missing.wants, missing.seen, missing.holds) == (
        "arguments/amount",
        "is at most 100",
        420,
        False,
    )


def test_the_parts_of_a_condition_are_told_apart_with_the_values_they_name() -> None:
    text = """
rules:
  - {name: small, decision: allow,
     when: 'args.amount <= 100 && args.currency == "EUR" && has(args.note)'}
"""
    (report,) = explain(of(text), CALL).rules

    assert [(f.wants, f.seen, f.holds) for f in report.findings] == [
        ("args.amount <= 100", {"args.amount": 420}, False),
        ('args.currency == "EUR"', {"args.currency": "EUR"}, True),
        ("has(args.note)", {}, False),
    ]


def test_what_cannot_be_told_is_shown_as_that() -> None:
    text = "rules: [{name: big, decision: deny, arguments: {total: {above: 5}}}]"
    explained = explain(of(text), CALL)

    assert parts(explained) == {"big": Part.DECIDED}
    assert explained.clauses[0].holds is None


def test_a_later_rule_is_named_with_the_one_that_stands_before_it() -> None:
    text = """
rules:
  - {name: stop, decision: deny, tools: payments.*}
  - {name: go, decision: allow}
"""
    (change,) = explain(of(text), CALL).changes

    assert (change.rule, change.missing, change.before) == ("go", (), "stop")


def test_a_ceiling_and_a_missing_grant_explain_themselves() -> None:
    allow = of("rules: [{name: all, decision: allow}]")
    held = explain(allow, replace(CALL, autonomy=Autonomy.ACT_WITH_APPROVAL))
    ungranted = explain(allow, replace(CALL, granted=False))

    assert held.clauses[0].clause == "autonomy"
    assert held.changes[0].decision is Decision.ALLOW
    assert ungranted.clauses[0].clause == "granted"
    assert ungranted.verdict.decision is Decision.DENY


@settings(deadline=None, max_examples=50)
@given(documents_of_rules, requests)
def test_an_explanation_gives_the_verdict_that_is_given(
    document: documents.PolicyDocument, call: CallRequest
) -> None:
    policy = Policy.of("v1", document.compiled())
    explained, verdict = explain(policy, call), decide(policy, call)
    by = [r for r in explained.rules if r.part in {Part.DECIDED, Part.DOUBTED}]

    assert explained.verdict == verdict
    assert [r.name for r in by if r.name == verdict.rule] == (
        [verdict.rule] if verdict.rule else []
    )


@settings(deadline=None, max_examples=50)
@given(documents_of_rules, requests, st.data())
def test_a_rule_whose_clauses_all_hold_matches(
    document: documents.PolicyDocument, call: CallRequest, data: st.DataObject
) -> None:
    reports = explain(Policy.of("v1", document.compiled()), call).rules
    report = data.draw(st.sampled_from(reports)) if reports else None

    if report is not None and report.matches:
        assert report.failing == () or report.findings[-1].clause == "when"
