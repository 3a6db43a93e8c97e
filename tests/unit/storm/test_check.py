"""The checker of a storm: it sees what is lost, doubled or broken."""

from __future__ import annotations

from typing import Any

import pytest

from agentops.storm.check import Facts, Findings, check

KEY = "r1/0/0/0"
RUN = {
    "id": "r1",
    "name": "run-1",
    "state": "succeeded",
    "reason": "",
    "super_step": 1,
    "event_seq": 3,
    "super_steps": [0, 1],
    "tokens": [0, 1],
    "events": 3,
    "last_event": 3,
    "cost_booked": 0,
    "cost_in_ledger": 0,
    "tokens_booked": 5,
    "tokens_in_ledger": 5,
    **{
        f"{unit}_{what}": value
        for unit in ("cost", "tokens", "model_calls", "tool_calls")
        for what, value in (("limit", 7), ("spent", 1), ("reserved", 0))
    },
}
EFFECT = {"key": KEY, "kind": "tool", "class": "once", "state": "done", "error_class": ""}
AUDITED = {"run.started run/r1": 1, "run.succeeded run/r1": 1, f"effect.done effect/{KEY}": 1}
HAPPENED = {"key": KEY, "happened": 1}


def findings(run: dict[str, Any] | None = None, **more: Any) -> Findings:
    facts: dict[str, Any] = {
        "accepted": {"run-1": "r1"},
        "runs": [{**RUN, **(run or {})}],
        "effects": [EFFECT],
        "outside": [HAPPENED],
        "audited": AUDITED,
        "seen_ended": {},
    }
    return check(Facts(**{**facts, **more}))


def test_a_sound_run_is_clean() -> None:
    found = findings()

    assert found.clean
    assert found.ended == 1


def test_a_run_that_was_accepted_twice_is_doubled() -> None:
    again = {**RUN, "id": "r2"}

    assert "run-1 was accepted 2 times" in findings(runs=[RUN, again]).duplicated


def test_a_run_that_is_not_there_is_lost() -> None:
    assert findings(runs=[]).lost == ["run-1 was accepted and is not there"]


def test_a_run_that_neither_ends_nor_waits_is_lost() -> None:
    assert findings({"state": "queued"}).lost == ["run-1 (r1) is still queued"]


def test_a_done_effect_that_never_happened_is_lost() -> None:
    assert findings(outside=[]).lost == [f"{KEY} is done and never happened"]


def test_an_effect_that_happened_twice_is_doubled() -> None:
    assert findings(outside=[HAPPENED] * 2).duplicated == [f"{KEY} happened 2 times"]


def test_a_run_that_waits_for_a_named_thing_is_not_lost() -> None:
    found = findings({"state": "interrupted", "reason": "approval"})

    assert (found.lost, found.waiting_for_named) == ([], 1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"super_steps": [0, 2]},
        {"tokens": [1, 0]},
        {"events": 2},
        {"tool_calls_spent": 8},
        {"tokens_reserved": 1},
        {"cost_booked": 1},
        {"tokens_booked": 6},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_broken_rule_is_found(wrong: dict[str, Any]) -> None:
    assert len(findings(wrong).broken) == 1


def test_an_ended_run_that_moved_is_found() -> None:
    assert len(findings(seen_ended={"r1": ["failed", 2, 1]}).broken) == 1


@pytest.mark.parametrize("missing", list(AUDITED))
def test_a_change_without_a_record_is_found(missing: str) -> None:
    left = {what: times for what, times in AUDITED.items() if what != missing}

    assert len(findings(audited=left).broken) == 1


def test_a_denied_effect_that_happened_is_found() -> None:
    denied = {**EFFECT, "state": "failed", "error_class": "policy_denied"}
    audited = {**AUDITED, f"effect.failed effect/{KEY}": 1}

    assert findings(effects=[denied], audited=audited).broken == [f"{KEY} was denied and happened"]
