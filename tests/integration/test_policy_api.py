"""Policies over HTTP: drafts, activation, explanations, backtests."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from django.db.models import F
from uuid_utils.compat import uuid7

from policy import tenancy
from policy.core.actor import SYSTEM
from policy.operations.policies import create_version
from runs.models import Backtest
from runs.operations import backtest as backtests
from runs.operations.backtest import Asked, carry_out, start_backtest
from tests.http import Api
from tests.integration.desk_agents import ASK_FIRST, of, pay
from tests.integration.engine_room import Room
from tests.unit.runs import desk

SMALL = {"rules": [{"name": "small", "decision": "allow", "arguments": {"amount": {"at_most": 1}}}]}
EVERYTHING = {"rules": [{"name": "everything", "decision": "allow"}]}


@pytest.fixture
def api(tenant: UUID) -> Api:
    return Api(tenant, "admin")


def test_a_draft_is_written_edited_and_put_in_force(api: Api) -> None:
    made = api.post("/api/v1/policies", {"document": SMALL, "note": "first"})
    path, tag = made["Location"], made["ETag"]
    stale = api.put(path, {"document": EVERYTHING}, If_Match='"7"')
    edited = api.put(path, {"document": "rules: [{name: a, decision: deny}]"}, If_Match=tag)
    tagged = edited["ETag"]
    active = api.post(f"{path}/activate", {"reason": "agreed"}, If_Match=tagged)
    refused = api.put(path, {"document": EVERYTHING}, If_Match=tagged)

    assert (made.status_code, made.json()["state"]) == (201, "draft")
    assert made.json()["rules"] == SMALL["rules"]
    assert stale.status_code == 412
    assert (edited.json()["revision"], edited.json()["rules"][0]["name"]) == (2, "a")
    assert (active.status_code, active.json()["state"]) == (200, "active")
    assert (refused.status_code, refused.json()["code"]) == (409, "not_a_draft")
    assert api.get("/api/v1/policies").json()["results"][0]["id"] == made.json()["id"]


def test_a_document_that_cannot_be_used_is_a_problem_with_its_place(api: Api) -> None:
    answer = api.post("/api/v1/policies", {"document": {"rules": [{"name": "a"}]}})

    assert answer.status_code == 422
    assert "/rules/0/decision" in str(answer.json()["errors"])


def test_a_hypothetical_call_is_explained(api: Api) -> None:
    made = api.post("/api/v1/policies", {"document": SMALL}).json()
    call = {"tool": "desk.pay", "agent": "payer", "arguments": {"order": 1, "amount": 5}}

    found = api.post("/api/v1/policies/explain", {"call": call, "policy": made["id"]}).json()

    assert (found["decision"], found["rule"]) == ("deny", "")
    (change,) = found["changes"]
    assert (change["rule"], change["missing"][0]["seen"]) == ("small", 5)


def test_a_viewer_sees_what_was_asked_but_not_the_arguments(api: Api) -> None:
    made = api.post("/api/v1/policies", {"document": SMALL}).json()
    call = {"tool": "desk.pay", "agent": "payer", "arguments": {"order": 1, "amount": 5}}

    viewer = Api(api.tenant, "viewer")
    body = {"call": call, "policy": made["id"]}
    found = viewer.post("/api/v1/policies/explain", body).json()
    refused = viewer.post("/api/v1/policies", {"document": SMALL})

    assert found["changes"][0]["missing"][0]["seen"] == "•••"
    assert refused.status_code == 403


# --- Backtests --------------------------------------------------------------------------------


@pytest.fixture
def paid(room: Room) -> str:
    """A run that paid once, allowed by the policy in force."""
    desk.world.forget()
    room.apply("rules: [{name: everything, decision: allow}]")
    return room.play(of(pay))


def tried(room: Room, document: Any, **asked: Any) -> UUID:
    with room.scope():
        draft = create_version(document)
        given = Asked(**(asked or {"runs": 10}))
        return start_backtest(draft, given, by=SYSTEM, send=lambda *_: None)


def row_of(room: Room, backtest: UUID) -> Backtest:
    with room.scope():
        return Backtest.objects.get(pk=backtest)


def test_a_backtest_tells_what_a_draft_would_have_decided_otherwise(room: Room, paid: str) -> None:
    backtest, told = tried(room, ASK_FIRST), []

    ended = carry_out(UUID(room.ground.tenant), backtest, lambda *at: told.append(at))

    row = row_of(room, backtest)
    assert (ended, row.state, row.counts) == (
        "done",
        "done",
        {"runs": 1, "calls": 1, "without_facts": 0, "allow>require_approval": 1, "different": 1},
    )
    assert row.differing is not None
    (different,) = row.differing
    assert (different["run_id"], different["would_rule"]) == (paid, "payments")
    assert "arguments" not in different
    assert told == [(1, 1)]


def test_a_recorded_call_is_explained_with_what_was_decided_then(room: Room, paid: str) -> None:
    api = Api(UUID(room.ground.tenant), "admin")
    key = f"{paid}/0/main/0"

    found = api.post("/api/v1/policies/explain", {"effect": key}).json()

    assert (found["decision"], found["rule"]) == ("allow", "everything")
    assert found["recorded"] == {"decision": "allow", "rule": "everything", "complete": True}
    missing = api.post("/api/v1/policies/explain", {"effect": f"{uuid7()}/0/main/0"})
    assert missing.status_code == 404


@pytest.mark.usefixtures("paid")
def test_an_attempt_that_died_leaves_nothing_and_the_next_one_begins_anew(
    room: Room,
) -> None:
    backtest, tenant = tried(room, ASK_FIRST), UUID(room.ground.tenant)

    class Killed(BaseException):
        pass

    def die(*_: Any) -> None:
        raise Killed

    with pytest.raises(Killed):
        carry_out(tenant, backtest, die)
    dead = row_of(room, backtest)
    held = carry_out(tenant, backtest, lambda *_: None)
    with room.scope():
        Backtest.objects.filter(pk=backtest).update(beat_at=F("beat_at") - backtests.STALE)
    ended = carry_out(tenant, backtest, lambda *_: None)

    assert (dead.state, dead.counts, dead.differing) == ("running", None, None)
    assert (held, ended) == ("not claimed", "done")
    counts = row_of(room, backtest).counts
    assert counts is not None
    assert counts["calls"] == 1


def test_a_backtest_whose_worker_always_dies_is_failed(room: Room) -> None:
    backtest, tenant = tried(room, ASK_FIRST), UUID(room.ground.tenant)
    with room.scope():
        Backtest.objects.filter(pk=backtest).update(token=backtests.MOST_ATTEMPTS)

    assert carry_out(tenant, backtest, lambda *_: None) == "not claimed"
    assert row_of(room, backtest).state == "failed"


def test_the_same_backtest_is_not_started_twice(api: Api, tenant: UUID) -> None:
    made = api.post("/api/v1/policies", {"document": SMALL}).json()
    path = f"/api/v1/policies/{made['id']}/backtest"

    first, again = api.post(path, {"runs": 5}), api.post(path, {"runs": 5})
    other = api.post(path, {"since": "2026-01-01T00:00:00Z"})
    neither = api.post(path, {})

    assert (first.status_code, first["Location"]) == (202, again["Location"])
    assert other.json()["id"] != first.json()["id"]
    assert neither.status_code == 422
    assert api.get(first["Location"]).json()["state"] == "queued"
    with tenancy.scope(tenant):
        assert Backtest.objects.count() == 2
