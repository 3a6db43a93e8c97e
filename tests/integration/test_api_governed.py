"""Approvals and budgets over HTTP."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone

from policy import tenancy
from policy.models import Approval, AuditEvent, BudgetRaise
from runs.models import Run
from tests.http import Api, a_budget, a_run, an_agent, an_approval


@pytest.fixture
def api(tenant: UUID) -> Api:
    an_agent(tenant)
    return Api(tenant, "operator")


@pytest.fixture
def run(api: Api) -> str:
    identity: str = a_run(api)["id"]
    return identity


@pytest.fixture
def reviewer(tenant: UUID) -> Api:
    return Api(tenant, "reviewer")


def decide(caller: Api, approval: Any, decision: str = "approve", **more: Any) -> Any:
    match = more.pop("match", f'"{approval.version}"')
    body = {"decision": decision, "digest": approval.digest, **more}
    headers = {} if match is None else {"If_Match": match}
    return caller.post(f"/api/v1/approvals/{approval.id}/decide", body, **headers)


def test_an_open_approval_says_what_is_asked(api: Api, reviewer: Api, tenant: UUID) -> None:
    approval = an_approval(tenant, a_run(api)["id"])

    listed = reviewer.get("/api/v1/approvals?state=open").json()["results"]
    one = reviewer.get(f"/api/v1/approvals/{approval.id}")

    assert [found["id"] for found in listed] == [str(approval.id)]
    assert one["ETag"] == '"1"'
    assert one.json()["arguments"] == {"amount": 42}
    assert one.json()["summary"] == "payments.refund (amount: 42)"
    assert one.json()["effect_key"] == approval.effect_key
    assert one.json()["origins"] == []
    run = reviewer.get(f"/api/v1/runs/{approval.run_id}").json()
    assert [thing["id"] for thing in run["waiting_on"]] == [str(approval.id)]


def test_a_decision_is_made_once_and_audited(api: Api, reviewer: Api, tenant: UUID) -> None:
    approval = an_approval(tenant, a_run(api)["id"])

    first = decide(reviewer, approval)
    second = decide(reviewer, approval, "reject", reason="no")

    assert first.status_code == 200, first.content
    assert first.json()["state"] == "approved"
    assert first.json()["decided_by"] == "a caller"
    assert first["ETag"] == '"2"'
    assert (second.status_code, second.json()["code"]) == (409, "approval_not_open")
    with tenancy.scope(tenant):
        assert AuditEvent.objects.filter(subject=f"approval/{approval.id}").count() == 1
        assert Run.objects.get(pk=approval.run_id).state != "interrupted"


@pytest.mark.parametrize(
    ("match", "status", "code"),
    [
        (None, 428, "if_match_missing"),
        ('"7"', 412, "changed"),
        ('W/"1"', 412, "changed"),
        ("*", 412, "changed"),
        ("1", 412, "changed"),
        ('"\u0661"', 412, "changed"),
    ],
)
def test_a_decision_names_the_version_it_is_about(
    api: Api, reviewer: Api, tenant: UUID, match: str | None, status: int, code: str
) -> None:
    approval = an_approval(tenant, a_run(api)["id"])

    answer = decide(reviewer, approval, match=match)

    assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.mark.parametrize(
    ("kind", "decision", "more", "status"),
    [
        ("tool_call", "approve", {"digest": "0" * 64}, 412),
        ("tool_call", "approve", {"digest": "short"}, 422),
        ("tool_call", "happened", {}, 422),
        ("tool_call", "reject", {}, 422),
        ("tool_call", "perhaps", {}, 422),
        ("outcome_unknown", "approve", {}, 422),
        ("outcome_unknown", "happened", {"result": {"id": 9}}, 200),
        ("outcome_unknown", "not_happened", {}, 200),
    ],
)
def test_a_decision_fits_what_is_asked(
    reviewer: Api,
    run: str,
    kind: str,
    decision: str,
    more: dict[str, Any],
    status: int,
) -> None:
    approval = an_approval(reviewer.tenant, run, kind=kind)

    answer = decide(reviewer, approval, decision, **more)

    assert answer.status_code == status, answer.content
    with tenancy.scope(reviewer.tenant):
        left = Approval.objects.get(pk=approval.id)
    assert (left.state == "open") == (status != 200)
    assert left.result == (more.get("result") if status == 200 else None)


def test_an_expired_approval_cannot_be_decided(api: Api, reviewer: Api, tenant: UUID) -> None:
    late = timezone.now() - timedelta(seconds=1)
    approval = an_approval(tenant, a_run(api)["id"], expires_at=late)

    answer = decide(reviewer, approval)

    assert (answer.status_code, answer.json()["code"]) == (409, "approval_not_open")


@pytest.mark.parametrize("role", ["viewer", "operator", "finance"])
def test_only_reviewers_decide(api: Api, tenant: UUID, role: str) -> None:
    approval = an_approval(tenant, a_run(api)["id"])

    assert decide(Api(tenant, role), approval).status_code == 403
    with tenancy.scope(tenant):
        assert Approval.objects.get(pk=approval.id).state == "open"


def test_a_budget_is_raised_once_per_key(tenant: UUID) -> None:
    finance, budget = Api(tenant, "finance"), a_budget(tenant)
    path = f"/api/v1/budgets/{budget.id}"
    body = {"unit": "cost", "amount": "2.5", "reason": "a busy week"}

    first = finance.post(f"{path}/raise", body, key="k")
    again = finance.post(f"{path}/raise", body, key="k")
    read = finance.get(path)

    assert first.status_code == 200, first.content
    assert again["Idempotent-Replayed"] == "true"
    assert read.json()["cost"]["limit"] == "12.50"
    assert [raised["amount"] for raised in read.json()["raises"]] == ["2.50"]
    assert read["ETag"] != '"1"'
    assert finance.get("/api/v1/budgets?scope=tenant").json()["results"][0]["id"] == str(budget.id)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"amount": "0"}, "invalid_request"),
        ({"amount": "-1"}, "invalid_request"),
        ({"amount": "NaN"}, "invalid_request"),
        ({"amount": "1e400"}, "invalid_request"),
        ({"unit": "hope"}, "invalid_request"),
        ({"reason": ""}, "invalid_request"),
        ({"unit": "tokens"}, "invalid_raise"),
        ({"amount": "10000000001"}, "invalid_raise"),
    ],
)
def test_a_raise_that_makes_no_sense_changes_nothing(
    tenant: UUID, change: dict[str, str], code: str
) -> None:
    finance, budget = Api(tenant, "finance"), a_budget(tenant)
    body = {"unit": "cost", "amount": "1", "reason": "why", **change}

    answer = finance.post(f"/api/v1/budgets/{budget.id}/raise", body)

    assert (answer.status_code, answer.json()["code"]) == (422, code), answer.content
    with tenancy.scope(tenant):
        assert not BudgetRaise.objects.exists()


@pytest.mark.parametrize("role", ["viewer", "operator", "reviewer"])
def test_only_finance_raises(tenant: UUID, role: str) -> None:
    budget = a_budget(tenant)
    body = {"unit": "cost", "amount": "1", "reason": "why"}

    assert Api(tenant, role).post(f"/api/v1/budgets/{budget.id}/raise", body).status_code == 403
