"""Policy documents: read strictly, refused with the place of the fault."""

from __future__ import annotations

import contextlib
import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy import conditions, documents
from policy.core.rules.decide import CallRequest, Decision, EffectClass, Policy, Principal, decide
from policy.errors import InvalidPolicy
from tests.unit.policy.calls import raw_documents, requests

DESK = """
rules:
  - name: read anything
    decision: allow
    effects: [read]
  - name: small refunds
    decision: allow
    tools: payments.*
    agents: refund*
    when: args.amount <= 100 && principal.roles.exists(r, r == "operator")
    priority: 5
  - {name: refunds, decision: require_approval, tools: payments.*, expires_after: 36h,
     reason: more than 100}
"""


def judged(document: str, **arguments: Any) -> Decision:
    policy = Policy.of("1", documents.read(document).compiled())
    call = CallRequest(
        tool="payments.refund",
        version="1",
        arguments=arguments,
        effect=EffectClass.ONCE,
        agent="refunds",
        principal=Principal(id="p", name="Ann", roles=("operator",)),
    )
    return decide(policy, call).decision


@pytest.mark.parametrize(
    ("amount", "decision"),
    [
        (42, Decision.ALLOW),
        (42.5, Decision.ALLOW),
        (100, Decision.ALLOW),
        (100.0, Decision.ALLOW),
        (100.01, Decision.REQUIRE_APPROVAL),
        (2**70, Decision.REQUIRE_APPROVAL),
        ("42", Decision.REQUIRE_APPROVAL),
        (None, Decision.REQUIRE_APPROVAL),
        (True, Decision.REQUIRE_APPROVAL),
        ([1], Decision.REQUIRE_APPROVAL),
    ],
)
def test_numbers_compare_by_value_and_nothing_else_passes_for_one(
    amount: Any, decision: Decision
) -> None:
    assert judged(DESK, amount=amount) is decision


def test_an_absent_argument_is_never_small() -> None:
    assert judged(DESK) is Decision.REQUIRE_APPROVAL


def test_a_document_keeps_its_terms() -> None:
    rules = documents.read(DESK).compiled()

    assert [rule.terms.expires_after for rule in rules] == [
        timedelta(hours=24),
        timedelta(hours=24),
        timedelta(hours=36),
    ]
    assert rules[0].effects == {EffectClass.READ}


def rule_with(**change: Any) -> str:
    return json.dumps({"rules": [{"name": "r", "decision": "allow", **change}]})


@pytest.mark.parametrize(
    ("document", "pointer"),
    [
        ("", ""),
        ("[]", ""),
        ("rules: 3", "/rules"),
        ("{", ""),
        ("a: b: c", ""),
        ("rules: []\nrules: []", ""),
        ('{"rules": [], "rules": []}', ""),
        ("x: &a [1]\nrules: *a", ""),
        ('{"rules": [], "more": 1}', "/more"),
        (rule_with(decision="maybe"), "/rules/0/decision"),
        (rule_with(name=""), "/rules/0/name"),
        (rule_with(tool="x"), "/rules/0/tool"),
        (rule_with(tools="a  b"), "/rules/0/tools"),
        (rule_with(effects=["never"]), "/rules/0/effects/0"),
        (rule_with(priority="1"), "/rules/0/priority"),
        (rule_with(when="args.x <="), "/rules/0/when"),
        (rule_with(when="arg.x <= 1"), "/rules/0/when"),
        (rule_with(when=True), "/rules/0/when"),
        (rule_with(when="1 == 1 && " * 200 + "true"), "/rules/0/when"),
        (rule_with(when="(" * 400 + "true" + ")" * 400), "/rules/0/when"),
        (rule_with(when="args.a.all(a, a.all(b, b.all(c, c)))"), "/rules/0/when"),
        (rule_with(expires_after="soon"), "/rules/0/expires_after"),
        (rule_with(expires_after=60), "/rules/0/expires_after"),
        (rule_with(expires_after="0s"), "/rules/0/expires_after"),
        (rule_with(expires_after="999999999d"), "/rules/0/expires_after"),
        ("rules: [{name: a, decision: allow}, {name: a, decision: deny}]", "/rules/1/name"),
        ("- " * 5000, ""),
        ("#" * (documents.LARGEST + 1), ""),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_place(document: str, pointer: str) -> None:
    with pytest.raises(InvalidPolicy) as refused:
        documents.read(document)

    assert refused.value.pointer == pointer
    assert refused.value.detail


@given(st.text(max_size=300) | st.binary(max_size=300))
def test_any_text_is_a_policy_or_refused(source: str | bytes) -> None:
    with contextlib.suppress(InvalidPolicy):
        documents.read(source)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5))
def test_a_condition_that_gives_no_boolean_fails(value: Any) -> None:
    condition = conditions.compiled("args.value")

    if isinstance(value, bool):
        assert condition({"args": {"value": value}}) is value
    else:
        with pytest.raises(conditions.ConditionFailed):
            condition({"args": {"value": value}})


@pytest.mark.parametrize("text", ["\x85", "\u2028", "\ufeff", "a\r\nb", " a ", "\x9f", "no", "1e3"])
def test_a_text_is_written_out_letter_by_letter(text: str) -> None:
    rule = {"name": "r", "decision": "allow", "arguments": {"note": {"equals": text}}}
    first = documents.read({"rules": [rule]})

    assert documents.read(first.text()) == first


@settings(deadline=None, max_examples=50)
@given(raw_documents, requests)
def test_what_is_written_out_reads_back_as_the_same_rules(raw: Any, call: CallRequest) -> None:
    first = documents.read(raw)
    again = documents.read(first.text())

    assert again == first
    verdicts = [decide(Policy.of("v", read.compiled()), call) for read in (first, again)]
    assert verdicts[0] == verdicts[1]


ASKS = {
    "groups": ["privacy"],
    "quorum": 2,
    "on_timeout": "escalate",
    "escalate": [{"after": "30m", "owners": ["ada"]}],
}


@pytest.mark.parametrize("said", [{}, {"expires_after": "4h"}, {"approval": ASKS}])
def test_who_decides_about_answers_is_read_and_written_out(said: dict[str, Any]) -> None:
    read = documents.read({"rules": [], "answers": said})
    terms = read.policy("1").answers

    assert documents.read(read.text()) == read
    assert read.answers.written() == said
    assert terms.expires_after == timedelta(hours=4 if "expires_after" in said else 168)
    assert (terms.groups, terms.needed) == ((("privacy",), 2) if "approval" in said else ((), 1))


@pytest.mark.parametrize(
    ("said", "pointer"),
    [
        ({"approval": {"on_timeout": "approve"}}, "/answers"),
        ({"approval": {"agents_may": "decide"}}, "/answers"),
        ({"approval": {"hold_if": {"taint": True}}}, "/answers"),
        ({"approval": {"quorum": 0}}, "/answers/approval/quorum"),
        ({"expires_after": "soon"}, "/answers/expires_after"),
        ({"groups": ["privacy"]}, "/answers/groups"),
    ],
)
def test_what_makes_no_sense_of_an_answer_is_refused(said: dict[str, Any], pointer: str) -> None:
    with pytest.raises(InvalidPolicy) as refused:
        documents.read({"rules": [], "answers": said})

    assert refused.value.pointer == pointer


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"arguments": {"amount": {"at_most": "much"}}}, "/rules/0/arguments/amount/at_most"),
        ({"arguments": {"amount": {}}}, "/rules/0/arguments/amount"),
        ({"arguments": {"amount": {"almost": 3}}}, "/rules/0/arguments/amount/almost"),
        ({"arguments": {"note": {"present": False, "equals": 1}}}, "/rules/0/arguments/note"),
        ({"times": [{"zone": "Mars/Olympus"}]}, "/rules/0/times/0/zone"),
        ({"times": [{"from": "25:00"}]}, "/rules/0/times/0/from"),
        ({"times": [{"since": "2026-01-01T00:00:00"}]}, "/rules/0/times/0/since"),
        ({"calls": {}}, "/rules/0/calls"),
        ({"egress": "yes"}, "/rules/0/egress"),
        ({"risks": ["dire"]}, "/rules/0/risks/0"),
        ({"when": "args.a.matches(args.b)"}, "/rules/0/when"),
        ({"when": "args.a.matches('(a{30}){30}')"}, "/rules/0/when"),
        ({"when": "args.a.lowerAscii() == 'a'"}, "/rules/0/when"),
        ({"when": "[" * 25 + "]" * 25 + " == []"}, "/rules/0/when"),
    ],
)
def test_a_selector_that_cannot_be_used_is_refused_with_its_place(
    change: dict[str, Any], pointer: str
) -> None:
    with pytest.raises(InvalidPolicy) as refused:
        documents.read({"rules": [{"name": "r", "decision": "allow", **change}]})

    assert refused.value.pointer.startswith(pointer)
