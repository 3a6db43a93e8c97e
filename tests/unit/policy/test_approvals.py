"""Who may decide, whose approval counts, and terms that come back as they were written."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from policy import documents
from policy.core.rules.approvals import (
    ApprovalTerms,
    Asked,
    OnTimeout,
    Reviewer,
    Rung,
    lets_happen,
    terms_from_json,
    terms_to_json,
    why_not_approve,
    why_not_decide,
)
from policy.errors import InvalidPolicy

ANN = Reviewer(identity="a", name="ann", groups=frozenset({"desk"}), decides_up_to="medium")


def asked(**change: Any) -> Asked:
    terms = {k: change.pop(k) for k in ("quorum", "four_eyes", "self_approval") if k in change}
    return Asked(terms=ApprovalTerms(**terms), **{"risk": "low", **change})


@pytest.mark.parametrize(
    ("question", "why"),
    [
        (asked(), ""),
        (asked(groups=frozenset({"desk", "leads"})), ""),
        (asked(groups=frozenset({"leads"}), owners=frozenset({"ann"})), ""),
        (asked(groups=frozenset({"leads"})), "for group leads to decide"),
        (asked(owners=frozenset({"bob"})), "for bob to decide"),
        (asked(risk="medium"), ""),
        (asked(risk="high"), "up to medium risk; this one is high"),
        (asked(risk="unheard of"), "up to medium risk"),
        (asked(claimed_by="b", claimed_name="bob"), "bob has claimed it"),
        (asked(claimed_by="a", claimed_name="ann"), ""),
    ],
)
def test_who_may_decide(question: Asked, why: str) -> None:
    said = why_not_decide(question, ANN)

    assert why in said
    assert bool(said) == bool(why)


@pytest.mark.parametrize(
    ("question", "why"),
    [
        (asked(started_by="b"), ""),
        (asked(started_by="a"), "you started this run"),
        (asked(started_by="a", self_approval=True), ""),
        (asked(edited_by="a"), ""),
        (asked(edited_by="a", four_eyes=True), "you edited this call"),
        (asked(edited_by="a", quorum=2), "you edited this call"),
        (asked(voted=frozenset({"a"}), quorum=3), "you approved it already"),
        (asked(voted=frozenset({"b"}), quorum=3), ""),
    ],
)
def test_whose_approval_counts(question: Asked, why: str) -> None:
    said = why_not_approve(question, ANN)

    assert why in said
    assert bool(said) == bool(why)


@pytest.mark.parametrize(
    ("kind", "permissions"),
    [("tool_call", ["approve"]), ("answer", ["approve", "respond"])],
)
def test_which_decisions_are_permissions(kind: str, permissions: list[str]) -> None:
    decisions = ["approve", "edit", "reject", "respond"]

    assert [one for one in decisions if lets_happen(kind, one)] == permissions


@pytest.mark.parametrize(
    ("terms", "needed"),
    [
        (ApprovalTerms(), 1),
        (ApprovalTerms(four_eyes=True), 2),
        (ApprovalTerms(quorum=3), 3),
        (ApprovalTerms(quorum=3, four_eyes=True), 3),
    ],
)
def test_how_many_must_approve(terms: ApprovalTerms, needed: int) -> None:
    assert terms.needed == needed


WRITTEN = """
rules:
  - name: payments
    decision: require_approval
    expires_after: 2h
    approval:
      groups: [finance]
      owners: [ann]
      quorum: 2
      four_eyes: true
      self_approval: false
      on_timeout: escalate
      escalate:
        - {after: 30m, groups: [finance-leads]}
        - {after: 1h, owners: [cfo]}
"""


def test_terms_are_read_and_come_back_as_they_were() -> None:
    (rule,) = documents.read(WRITTEN).compiled()

    assert rule.terms == ApprovalTerms(
        expires_after=timedelta(hours=2),
        groups=("finance",),
        owners=("ann",),
        quorum=2,
        four_eyes=True,
        on_timeout=OnTimeout.ESCALATE,
        escalate=(
            Rung(after=timedelta(minutes=30), groups=("finance-leads",)),
            Rung(after=timedelta(hours=1), owners=("cfo",)),
        ),
    )
    assert terms_from_json(terms_to_json(rule.terms)) == rule.terms
    assert terms_from_json({}) == ApprovalTerms()


@pytest.mark.parametrize(
    ("block", "pointer", "says"),
    [
        ({"quorum": 0}, "/rules/0/approval/quorum", "greater than or equal to 1"),
        ({"quorum": True}, "/rules/0/approval/quorum", "integer"),
        ({"on_timeout": "guess"}, "/rules/0/approval/on_timeout", "reject"),
        ({"on_timeout": "escalate"}, "/rules/0/approval", "needs a step"),
        ({"escalate": [{"after": "5m"}]}, "/rules/0/approval/escalate/0", "say to whom"),
        (
            {"escalate": [{"after": "9m", "groups": ["a"]}, {"after": "5m", "groups": ["b"]}]},
            "/rules/0/approval",
            "in the order",
        ),
        ({"group": ["a"]}, "/rules/0/approval/group", "not permitted"),
    ],
)
def test_terms_that_make_no_sense_are_refused(block: Any, pointer: str, says: str) -> None:
    rule = {"name": "r", "decision": "require_approval", "approval": block}

    with pytest.raises(InvalidPolicy) as refused:
        documents.read({"rules": [rule]})

    assert refused.value.pointer == pointer
    assert says in refused.value.detail
