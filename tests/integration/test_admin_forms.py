"""The forms of the admin: deciding, cancelling, raising, signing in."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import time_machine
from django.test import override_settings
from django.utils import timezone

from agentops.signin import make_link
from policy import tenancy
from policy.models import Approval, Budget
from runs.models import Run
from tests.http import (
    Api,
    a_budget,
    a_client,
    a_person,
    a_run,
    an_agent,
    an_approval,
    signed_in,
)


@pytest.fixture
def run(tenant: UUID) -> str:
    an_agent(tenant)
    identity: str = a_run(Api(tenant))["id"]
    return identity


def form_of(approval: Approval, decision: str, **more: str) -> dict[str, str]:
    form = {"decision": decision, "digest": approval.digest, "version": str(approval.version)}
    return {**form, "confirm": approval.tool, **more}


def state_of(tenant: UUID, approval: Approval) -> str:
    with tenancy.scope(tenant):
        return Approval.objects.get(pk=approval.pk).state


def said(answer: Any) -> str:
    text: str = answer.content.decode()
    return text


def test_a_reviewer_approves_and_the_page_then_says_who_did(tenant: UUID, run: str) -> None:
    approval = an_approval(tenant, run)
    reviewer = a_person(tenant, "reviewer")
    client = signed_in(reviewer, tenant)
    page = f"/admin/approvals/{approval.id}/"

    assert "Approve exactly this call" in said(client.get(page))
    answer = client.post(f"{page}decide", form_of(approval, "approve"), follow=True)

    assert "Approved: payments.refund" in said(answer)
    assert state_of(tenant, approval) == "approved"
    after = said(client.get(page))
    assert reviewer.username in after
    assert "Approve exactly this call" not in after


def test_the_second_of_two_reviewers_is_told_who_was_faster(tenant: UUID, run: str) -> None:
    approval = an_approval(tenant, run)
    first = signed_in(a_person(tenant, "reviewer"), tenant)
    second = signed_in(a_person(tenant, "reviewer"), tenant)
    path = f"/admin/approvals/{approval.id}/decide"

    first.post(path, form_of(approval, "approve"))
    answer = second.post(path, form_of(approval, "reject", reason="no"), follow=True)

    assert answer.status_code == 200
    assert "already approved" in said(answer)
    assert state_of(tenant, approval) == "approved"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"confirm": ""}, "type payments.refund"),
        ({"confirm": "yes"}, "type payments.refund"),
        ({"digest": "0" * 64}, "not the one that was shown"),
        ({"version": "9"}, "not the one that was shown"),
        ({"version": "\u0661"}, "not the one that was shown"),
        ({"decision": "reject"}, "needs a reason"),
        ({"decision": "happened"}, "approve or reject"),
        ({"decision": "sing"}, "choose one"),
    ],
)
def test_a_form_that_does_not_fit_decides_nothing(
    tenant: UUID, run: str, change: dict[str, str], words: str
) -> None:
    approval = an_approval(tenant, run)
    client = signed_in(a_person(tenant, "reviewer"), tenant)

    answer = client.post(
        f"/admin/approvals/{approval.id}/decide",
        {**form_of(approval, "approve"), **change},
        follow=True,
    )

    assert words in said(answer)
    assert state_of(tenant, approval) == "open"


def test_an_expired_request_says_so(tenant: UUID, run: str) -> None:
    approval = an_approval(tenant, run, expires_at=timezone.now() - timedelta(seconds=1))
    client = signed_in(a_person(tenant, "reviewer"), tenant)
    page = f"/admin/approvals/{approval.id}/"

    assert "The time for an answer is over" in said(client.get(page))
    answer = client.post(f"{page}decide", form_of(approval, "approve"), follow=True)

    assert "expired" in said(answer)
    assert state_of(tenant, approval) == "open"


@pytest.mark.parametrize(
    ("decision", "typed", "result"),
    [
        ("happened", '{"id": 9}', {"id": 9}),
        ("happened", "refund 9, by hand", "refund 9, by hand"),
        ("happened", "[" * 5000, "[" * 5000),
        ("not_happened", "", None),
    ],
)
def test_a_lost_outcome_is_settled_by_a_person(
    tenant: UUID, run: str, decision: str, typed: str, result: Any
) -> None:
    approval = an_approval(tenant, run, kind="outcome_unknown")
    client = signed_in(a_person(tenant, "reviewer"), tenant)

    assert "It did not happen: call it again" in said(
        client.get(f"/admin/approvals/{approval.id}/")
    )
    client.post(f"/admin/approvals/{approval.id}/decide", form_of(approval, decision, result=typed))

    assert state_of(tenant, approval) == decision
    with tenancy.scope(tenant):
        assert Approval.objects.get(pk=approval.pk).result == result


@pytest.mark.parametrize("role", ["viewer", "operator", "finance"])
def test_who_is_no_reviewer_sees_but_does_not_decide(tenant: UUID, run: str, role: str) -> None:
    approval = an_approval(tenant, run)
    client = signed_in(a_person(tenant, role), tenant)
    page = f"/admin/approvals/{approval.id}/"

    assert "deciding needs the role reviewer" in said(client.get(page))
    client.post(f"{page}decide", form_of(approval, "approve"))

    assert state_of(tenant, approval) == "open"


@pytest.mark.parametrize(("role", "state"), [("operator", "cancelled"), ("reviewer", "queued")])
def test_an_operator_cancels_with_a_reason(tenant: UUID, run: str, role: str, state: str) -> None:
    client = signed_in(a_person(tenant, role), tenant)

    answer = client.post(f"/admin/runs/{run}/cancel", {"reason": "wrong order"}, follow=True)

    assert answer.status_code == 200
    with tenancy.scope(tenant):
        assert Run.objects.get(pk=run).state == state


def test_an_operator_lets_a_parked_run_go_on(tenant: UUID, run: str) -> None:
    with tenancy.scope(tenant):
        Run.objects.filter(pk=run).update(state="interrupted", reason="poison", crashes=3)
    client = signed_in(a_person(tenant, "operator"), tenant)

    assert "Let it go on" in said(client.get(f"/admin/runs/{run}/"))
    client.post(f"/admin/runs/{run}/resume", {"reason": "mended"})

    with tenancy.scope(tenant):
        assert Run.objects.get(pk=run).state == "queued"


def test_the_same_raise_sent_twice_raises_once(tenant: UUID) -> None:
    budget = a_budget(tenant)
    client = signed_in(a_person(tenant, "finance"), tenant)
    form = {"unit": "cost", "amount": "5", "reason": "busy", "once": "form-1"}

    client.post(f"/admin/budgets/{budget.id}/raise", form)
    again = client.post(f"/admin/budgets/{budget.id}/raise", form, follow=True)

    assert "sent before" in said(again)
    with tenancy.scope(tenant):
        assert Budget.objects.get(pk=budget.id).cost_limit == 15


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"amount": "lots"}, "not an amount"),
        ({"amount": "-5"}, "more than 0"),
        ({"amount": "NaN"}, "more than 0"),
        ({"unit": "hope"}, "choose what to raise"),
        ({"unit": "tokens"}, "no limit here"),
        ({"reason": " "}, "say why"),
    ],
)
def test_a_raise_that_makes_no_sense_may_be_corrected_and_sent_again(
    tenant: UUID, change: dict[str, str], words: str
) -> None:
    budget = a_budget(tenant)
    client = signed_in(a_person(tenant, "finance"), tenant)
    form = {"unit": "cost", "amount": "5", "reason": "busy", "once": "form-1"}
    path = f"/admin/budgets/{budget.id}/raise"

    answer = client.post(path, {**form, **change}, follow=True)

    assert words in said(answer)
    client.post(path, form)
    with tenancy.scope(tenant):
        assert Budget.objects.get(pk=budget.id).cost_limit == 15


def test_a_sign_in_link_works_once_and_only_by_post(tenant: UUID) -> None:
    person = a_person(tenant, "viewer")
    link = make_link(person)
    client = a_client()

    assert person.username in said(client.get(link))
    assert "_auth_user_id" not in client.session
    assert client.post(link).status_code == 302
    assert client.session["_auth_user_id"] == str(person.pk)
    assert a_client().get(link).status_code == 410
    assert a_client().post(link).status_code == 410


def test_a_sign_in_link_ends_after_ten_minutes(tenant: UUID) -> None:
    link = make_link(a_person(tenant, "viewer"))

    with time_machine.travel(timezone.now() + timedelta(minutes=11)):
        assert a_client().post(link).status_code == 410


def test_a_sign_in_link_needs_a_token_and_development(tenant: UUID) -> None:
    link = make_link(a_person(tenant, "viewer"))

    assert a_client(checks_csrf=True).post(link).status_code == 403
    assert a_client().get(f"{link}x").status_code == 410
    with override_settings(DEBUG=False):
        assert a_client().post(link).status_code == 404


@pytest.mark.usefixtures("migrated")
def test_seeding_twice_makes_one_demo_and_renews_its_key() -> None:
    def seed() -> dict[str, Any]:
        import os
        import subprocess
        import sys

        done = subprocess.run(
            [sys.executable, "manage.py", "seed"],
            env={**os.environ, "AGENTOPS_DATABASE_ROLE": "system"},
            capture_output=True,
            text=True,
            check=True,
        )
        answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return answer

    first, second = seed(), seed()

    def status(key: str) -> int:
        headers = {"Authorization": f"Bearer {key}"}
        return a_client().get("/api/v1/runs", headers=headers).status_code

    assert set(second) == {"sign_in_path", "api_key", "tenant", "waiting"}
    assert (status(first["api_key"]), status(second["api_key"])) == (401, 200)
    client = a_client()
    client.post(second["sign_in_path"])
    assert client.get("/admin/").status_code == 200
