"""Whatever is thrown at the policy engine: no crash, no stall, and never allow from an error."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from policy import conditions, documents
from policy.core.call import Facts
from policy.core.rules.decide import CallRequest, Decision, Policy
from policy.core.rules.explain import explain
from policy.errors import InvalidPolicy, PolicyError
from tests.unit.policy.calls import documents_of_rules, raw_documents, requests
from tests.unit.policy.test_selectors import CALL

slow = settings(
    deadline=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
SIGNS = "args.amountspricl '\"()[]{}<>=!&|+-*/%?:,0129\\\n\x00é\ud800"
words = st.sampled_from(
    ["args", ".", "amount", "to", "(", ")", "[", "]", "&&", "||", "!", "==", "<", "in", "1", "'a'",
     "has", "size", "matches", ".all(x,", ".exists(x,", ".map(x,", "x", "+", "-", "?", ":", "tool",
     "at.getHours()", "calls", "spent", "principal.roles", "true", "null", "timestamp('x')"]
)  # fmt: skip
expressions = st.text(SIGNS, max_size=60) | st.lists(words, max_size=25).map(" ".join)

hostile_leaves = (
    st.floats(allow_nan=True, allow_infinity=True)
    | st.integers(-(10**30), 10**30)
    | st.text(st.characters(), max_size=30)
    | st.text(st.sampled_from("a\ud800\x00\u202e"), max_size=2000)
    | st.binary(max_size=4)
    | st.none()
)
hostile_values = st.recursive(
    hostile_leaves,
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=25,
)
hostile_arguments = st.dictionaries(
    st.sampled_from(["amount", "to", "note", "a/b", ""]), hostile_values, max_size=5
)


SMALL = documents.read("rules: [{name: a, decision: allow, when: args.amount <= 100}]")
SAME = documents.read("rules: [{name: a, decision: allow, when: 'args.to == args.to'}]")


def deep(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"a": [value]}
    return value


def strict(policy: Policy, call: CallRequest) -> bool:
    """Say whether the verdict is allow although a rule that allows failed to be evaluated."""
    explained = explain(policy, call)
    verdict = explained.verdict
    if verdict.decision is not Decision.ALLOW:
        return False
    (report,) = [report for report in explained.rules if report.name == verdict.rule]
    return report.matches is not True


@slow
@given(expressions)
def test_any_text_compiles_or_is_refused(text: str) -> None:
    try:
        condition = conditions.compiled(text)
    except InvalidPolicy:
        return
    facts: Mapping[str, Any] = CALL.facts()
    with contextlib.suppress(PolicyError):
        assert condition(facts) in {True, False}


@slow
@given(documents_of_rules, requests, hostile_arguments)
@example(
    documents.read("rules: [{name: a, decision: allow, when: args.amount <= 100}]"),
    CALL,
    {"amount": float("nan")},
)
@example(
    documents.read("rules: [{name: a, decision: allow, when: 'args.to == args.to'}]"),
    CALL,
    {"to": "\ud800"},
)
def test_hostile_arguments_neither_crash_nor_are_allowed_by_an_error(
    document: documents.PolicyDocument, call: CallRequest, arguments: dict[str, Any]
) -> None:
    policy = Policy.of("v", document.compiled())

    assert not strict(policy, replace(call, arguments=arguments, granted=True))


def test_arguments_nested_thousands_deep_are_not_allowed() -> None:
    """By itself: Hypothesis cannot print such an example."""
    read = documents.read("rules: [{name: a, decision: allow, when: args.amount <= 100}]")

    assert not strict(
        Policy.of("v", read.compiled()), replace(CALL, arguments={"amount": deep(3000)})
    )


@slow
@given(st.text(max_size=200) | st.binary(max_size=200) | raw_documents)
def test_any_document_is_read_or_refused(document: Any) -> None:
    try:
        read = documents.read(document)
    except InvalidPolicy:
        return
    assert documents.read(read.text()) == read


@slow
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
        max_leaves=10,
    ),
    st.sampled_from(["name", "tools", "arguments", "times", "when", "priority", "calls", "roles"]),
)
def test_a_rule_with_anything_in_a_field_is_read_or_refused(value: Any, field: str) -> None:
    rule = {"name": "r", "decision": "allow", field: value}

    with contextlib.suppress(InvalidPolicy):
        assert len(documents.read({"rules": [rule]}).rules) == 1


def test_arguments_that_are_nested_without_end_are_not_allowed() -> None:
    policy = Policy.of("v", SMALL.compiled())

    assert not strict(policy, replace(CALL, arguments={"amount": deep(3000)}))


LARGE: list[tuple[str, dict[str, Any]]] = [
    ("args.l.all(x, args.l.exists(y, x == y))", {"l": list(range(5000))}),
    ("args.l.map(x, args.t + args.t).size() > 0", {"l": [1] * 5000, "t": "a" * 50_000}),
    ("args.l.map(x, args.l.map(y, args.t)).size() > 0", {"l": [1] * 300, "t": "a" * 90_000}),
    ("args.t.contains('b')", {"t": "a" * 10_000_000}),
    ("args.l.size() > 0", {"l": [0] * 1_000_000}),
    ("args.o.size() > 0", {"o": {str(n): n for n in range(100_000)}}),
    ("args.d == 1", {"d": deep(100_000)}),
]


@pytest.mark.parametrize(("expression", "arguments"), LARGE)
def test_what_would_take_long_is_not_begun(expression: str, arguments: dict[str, Any]) -> None:
    condition = conditions.compiled(expression)

    with pytest.raises(conditions.ConditionFailed, match=r"too large|too deeply"):
        condition(Facts({"args": arguments}))


def test_all_conditions_of_one_decision_together_are_bounded() -> None:
    condition = conditions.compiled("args.t.contains('b') || args.t.contains('c')")
    facts = replace(CALL, arguments={"t": "a" * 90_000}).facts()
    told = 0

    with contextlib.suppress(conditions.ConditionFailed):
        for _ in range(10_000):
            condition(facts)
            told += 1

    assert 0 < told < 1000


def test_an_argument_that_a_condition_does_not_name_does_not_count() -> None:
    facts = Facts({"args": {"amount": 1, "huge": deep(5000)}})

    assert conditions.compiled("args.amount == 1")(facts) is True
