"""What holds a call that a rule allows; and what was learnt from calls that people decided."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from policy import calibration, documents
from policy.calibration import Evidence, Labelled
from policy.core.provenance import Label, Origin, Provenance
from policy.core.rules.decide import CallRequest, Decision, EffectClass, Policy, Principal, decide
from policy.core.rules.recorded import facts_of, request_of
from policy.core.rules.triggers import Triggers, measured, triggers_from_json, triggers_to_json


def seeded(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - the same calls each time, no secrets


CALL = CallRequest(
    tool="payments.refund",
    version="1",
    arguments={"amount": 40, "to": ["ann@shop.example"], "sure": 0.9},
    effect=EffectClass.ONCE,
    agent="refunds",
    principal=Principal(id="p", name="Ann"),
    reversible=True,
)


def known(*, tainted: bool) -> Provenance:
    origins = {"/to/0": Origin(label=Label.TOOL, tainted=tainted)}
    return Provenance(origins=origins, tainted=tainted, is_known=True)


def judged(hold_if: Any, request: CallRequest) -> tuple[Decision, list[str]]:
    rule = {"name": "refunds", "decision": "allow", "approval": {"hold_if": hold_if}}
    policy = Policy.of("1", documents.read({"rules": [rule]}).compiled())
    verdict = decide(policy, request)
    return verdict.decision, [one.name for one in verdict.triggers]


HELD, ALLOWED = Decision.REQUIRE_APPROVAL, Decision.ALLOW


@pytest.mark.parametrize(
    ("hold_if", "change", "held"),
    [
        ({"irreversible": True}, {}, False),
        ({"irreversible": True}, {"reversible": False}, True),
        ({"irreversible": True}, {"reversible": None}, True),
        ({"irreversible": True}, {"reversible": False, "effect": EffectClass.READ}, False),
        ({"confidence": 0.8}, {"signals": {"said_confidence": 0.9, "confidence": 0.85}}, False),
        ({"confidence": 0.8}, {"signals": {"said_confidence": 0.9, "confidence": 0.6}}, True),
        ({"confidence": 0.8}, {"signals": {"said_confidence": None}}, True),
        ({"confidence": 0.8}, {}, False),
        ({"out_of_distribution": True}, {"signals": {"unusual": 1, "unusual_from": 4}}, False),
        ({"out_of_distribution": True}, {"signals": {"unusual": 6, "unusual_from": 4}}, True),
        ({"out_of_distribution": 9.5}, {"signals": {"unusual": 6, "unusual_from": 4}}, False),
        ({"out_of_distribution": True}, {}, True),
        ({"money": 100}, {"signals": {"money": 100}}, False),
        ({"money": 100}, {"signals": {"money": 100.01}}, True),
        ({"money": 100}, {"signals": {"money": None}}, True),
        ({"people": 5}, {"signals": {"people": 5}}, False),
        ({"people": 5}, {"signals": {"people": 6}}, True),
        ({"taint": True}, {"provenance": known(tainted=False)}, False),
        ({"taint": True}, {"provenance": known(tainted=True)}, True),
        ({"taint": True}, {}, True),
        ({"budget": 0.8}, {"signals": {"budget_used": 0.79}}, False),
        ({"budget": 0.8}, {"signals": {"budget_used": 0.8}}, True),
        ({"budget": 0.8}, {}, True),
    ],
)
def test_a_trigger_holds_what_a_rule_allows_and_names_itself(
    hold_if: Any,
    change: Any,
    held: bool,  # noqa: FBT001
) -> None:
    decision, names = judged(hold_if, replace(CALL, **change))

    assert decision is (HELD if held else ALLOWED)
    assert names == (list(hold_if) if held else [])


def test_several_triggers_are_all_named() -> None:
    unsafe = replace(CALL, reversible=False, signals={"money": 5000.0})

    assert judged({"irreversible": True, "money": 100}, unsafe)[1] == ["irreversible", "money"]


def test_a_trigger_never_allows_what_a_rule_denies() -> None:
    rules = [{"name": "no", "decision": "deny", "approval": {"hold_if": {"irreversible": True}}}]
    policy = Policy.of("1", documents.read({"rules": rules}).compiled())

    assert decide(policy, replace(CALL, reversible=False)).decision is Decision.DENY


def test_what_was_measured_is_recorded_and_judged_again_the_same() -> None:
    call = replace(CALL, signals={"money": 5000.0, "unusual": 7.5})

    again = request_of(call.tool, call.arguments, facts_of(call))

    assert judged({"money": 100}, again) == judged({"money": 100}, call)
    assert again.signals == call.signals


@pytest.mark.parametrize(
    ("argument", "money", "people", "said"),
    [
        (40, 40, 40, None),
        ("12.50", 12.5, 1, None),
        ("a@x.example, b@x.example", None, 2, None),
        (["a", "b", "c"], None, 3, None),
        (True, None, None, None),
        (None, None, None, None),
        ("NaN", None, 1, None),
        (0.25, 0.25, None, 0.25),
        (7, 7, 7, None),
    ],
)
def test_measures_read_numbers_and_recipients(
    argument: Any, money: Any, people: Any, said: Any
) -> None:
    found = measured({"money": "x", "people": "x", "confidence": "x"}, {"x": argument})

    assert found == {"money": money, "people": people, "said_confidence": said}


def test_triggers_come_back_as_they_were() -> None:
    every = Triggers(
        irreversible=True,
        confidence=0.5,
        out_of_distribution=0.0,
        money=1.5,
        people=3,
        taint=True,
        budget=0.9,
    )

    assert triggers_from_json(triggers_to_json(every)) == every
    assert not triggers_from_json({})


# --- What is learnt ----------------------------------------------------------------------------


def said(chance: random.Random, calls: int) -> list[Labelled]:
    """Calls of a model that is overconfident: of those it calls 0.9 sure, 60 % are right."""
    honest = {0.3: 0.1, 0.5: 0.3, 0.7: 0.45, 0.9: 0.6, 0.99: 0.95}
    values = [chance.choice(list(honest)) for _ in range(calls)]
    return [
        Labelled(id=str(n), value=value, is_right=chance.random() < honest[value])
        for n, value in enumerate(values)
    ]


def test_a_models_confidence_is_worth_what_its_calls_were() -> None:
    steps = calibration.isotonic(said(seeded(7), 2000))

    assert calibration.confidence(steps, 0.9) == pytest.approx(0.6, abs=0.06)
    assert calibration.confidence(steps, 0.99) == pytest.approx(0.95, abs=0.04)
    shares = [share for _, share in steps]
    assert shares == sorted(shares)


def test_calibrated_confidence_misses_far_less_than_the_models_own_word() -> None:
    calls = said(seeded(11), 1000)
    own_word = sum(not one.is_right and one.value >= 0.8 for one in calls)

    misses = calibration.confidence_misses(calls, 0.8)

    assert misses.wrong_held + len(misses.wrong_missed) == sum(not c.is_right for c in calls)
    assert len(misses.wrong_missed) < own_word / 3
    assert misses.right_passed > 0


def refunds(chance: random.Random, calls: int) -> list[tuple[str, dict[str, Any]]]:
    return [
        (
            f"r{n}",
            {
                "amount": round(chance.lognormvariate(3.5, 0.4), 2),
                "currency": chance.choice(["EUR", "USD"]),
                "to": f"{chance.choice(['ann', 'bob', 'cid'])}{n}@shop.example",
            },
        )
        for n in range(calls)
    ]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"amount": 9000.0}, "amount is 9000"),
        ({"currency": "BTC"}, "currency was never 'BTC'"),
        ({"to": "ann@evil.example"}, "evil.example"),
        ({"to": None}, "to was never nothing"),
        ({"note": "x"}, "note was never given"),
    ],
)
def test_a_call_unlike_all_before_scores_high_and_says_why(change: Any, says: str) -> None:
    learnt = calibration.profile([call for _, call in refunds(seeded(3), 200)])

    score, because = calibration.unusual(learnt, {**refunds(seeded(4), 1)[0][1], **change})

    assert score >= calibration.UNUSUAL
    assert says in "; ".join(because)


def test_the_bound_is_learnt_from_labelled_calls_and_its_misses_are_counted() -> None:
    chance = seeded(5)
    right = refunds(chance, 300)
    wrong = [
        (f"w{n}", {**call, "amount": call["amount"] * 40})
        for n, (_, call) in enumerate(refunds(chance, 20))
    ]
    wrong += [
        (f"v{n}", {**call, "to": "x@evil.example"})
        for n, (_, call) in enumerate(refunds(chance, 20))
    ]

    _, bound, misses = calibration.unusual_misses(right, wrong)

    assert misses.wrong_held + len(misses.wrong_missed) == 40
    assert len(misses.wrong_missed) <= 2
    assert misses.right_held <= 15
    assert bound > 0


def test_evidence_gives_what_triggers_look_at() -> None:
    learnt = calibration.profile([call for _, call in refunds(seeded(3), 50)])
    known = Evidence(steps=[[0.5, 0.3]], profile=learnt, unusual_from=3.5, budget_used=0.25)

    found = known.signals({"said_confidence": 0.9}, {"amount": 30.0, "currency": "EUR"})

    assert found["confidence"] == 0.3
    assert found["unusual"] == calibration.NEVER_SEEN
    assert (found["unusual_from"], found["budget_used"]) == (3.5, 0.25)
