"""Notifications on their page: set by an admin, shown once, sent again by an operator."""

from __future__ import annotations

from uuid import UUID

import pytest

from policy import tenancy
from policy.models import Notice, Subscription
from tests.http import Api, a_notice, a_person, a_run, an_agent, signed_in

WANTED = {
    "name": "us",
    "channel": "webhook",
    "url": "https://hooks.example/in",
    "events": ["approval.requested"],
    "enabled": "1",
}


def subscriptions(tenant: UUID) -> list[str]:
    with tenancy.scope(tenant):
        return list(Subscription.objects.values_list("name", flat=True))


def test_an_admin_adds_a_webhook_and_sees_its_secret_this_once(tenant: UUID) -> None:
    client = signed_in(a_person(tenant, "admin"), tenant)

    shown = client.post("/admin/notices/set", {**WANTED, "once": "1"})
    again = client.post("/admin/notices/set", {**WANTED, "once": "1", "name": "them"})
    page = client.get("/admin/notices/")

    assert "whsec_" in shown.content.decode()
    assert "no-store" in shown["Cache-Control"]
    assert (again.status_code, subscriptions(tenant)) == (302, ["us"])
    assert "whsec_" not in page.content.decode()
    assert "https://hooks.example/in" in page.content.decode()


def test_a_form_that_is_wrong_says_so_and_sets_nothing(tenant: UUID) -> None:
    client = signed_in(a_person(tenant, "admin"), tenant)

    answer = client.post(
        "/admin/notices/set", {**WANTED, "once": "1", "url": "https://10.0.0.1/"}, follow=True
    )

    assert "not a public address" in answer.content.decode()
    assert subscriptions(tenant) == []


@pytest.mark.parametrize("role", ["viewer", "operator", "reviewer"])
def test_nobody_else_sets_whom_to_tell(tenant: UUID, role: str) -> None:
    client = signed_in(a_person(tenant, role), tenant)

    answer = client.post("/admin/notices/set", {**WANTED, "once": "1"}, follow=True)

    assert "needs the role admin" in answer.content.decode()
    assert subscriptions(tenant) == []


def test_an_operator_sends_a_dead_notice_again_and_an_admin_removes_it_all(tenant: UUID) -> None:
    an_agent(tenant)
    ids = a_notice(tenant, a_run(Api(tenant))["id"])
    with tenancy.scope(tenant):
        Notice.objects.update(state="dead", error="it answered 500", attempts=8)
    operator = signed_in(a_person(tenant, "operator"), tenant)
    admin = signed_in(a_person(tenant, "admin"), tenant)

    shown = operator.get("/admin/notices/?state=dead").content.decode()
    operator.post(f"/admin/notices/{ids['notice_id']}/resend")
    with tenancy.scope(tenant):
        row = Notice.objects.get()
    secret = admin.post(f"/admin/notices/{ids['subscription_id']}/secret", {"version": "1"})
    admin.post(f"/admin/notices/{ids['subscription_id']}/remove", {"version": "2"})

    assert "it answered 500" in shown
    assert (row.state, row.attempts) == ("waiting", 0)
    assert "whsec_" in secret.content.decode()
    assert subscriptions(tenant) == []
