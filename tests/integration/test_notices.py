"""Subscribers are told what happens to approvals: signed, at least once, and no content."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test import override_settings
from standardwebhooks.webhooks import Webhook

from policy import tenancy
from policy.core.actor import SYSTEM
from policy.core.notices import EVENTS, PAUSES
from policy.models import Approval, Notice, NoticeState, Subscription
from policy.operations.deliver import deliver
from policy.operations.subscriptions import (
    SetSubscription,
    Subscribed,
    add_subscription,
    renew_secret,
    resend,
)
from policy.reviews import notify
from runs.operations import review
from runs.operations.decide import Decide, decide_approval
from runs.sweep import Sweeper
from tests.http import Api, a_run, an_agent, an_approval
from tests.integration.desk_agents import of, pay
from tests.integration.engine_room import Room
from tests.receivers import Hook, a_hook, a_post_office
from tests.unit.runs import desk

ROOT = Path(__file__).resolve().parents[2]
ASKS = """
rules:
  - {name: payments, decision: require_approval, tools: desk.pay, expires_after: 1h,
      approval: {groups: [], on_timeout: reject}}
"""


@contextmanager
def hooked(tenant: UUID, hook: Hook, **more: Any) -> Iterator[Subscribed]:
    """Subscribe a receiver, whose address the operator allows."""
    with override_settings(NOTIFY_HOSTS=[hook.address], PUBLIC_URL="https://ops.example.com"):
        wanted = SetSubscription(name=hook.address, channel="webhook", url=hook.url, **more)
        with tenancy.scope(tenant):
            made = add_subscription(wanted, by=SYSTEM)
        yield made


def notices(tenant: UUID) -> list[Notice]:
    with tenancy.scope(tenant):
        return list(Notice.objects.order_by("created_at", "id"))


def now_due(tenant: UUID) -> None:
    """Let the wait of every notice be over."""
    with tenancy.scope(tenant):
        Notice.objects.update(next_at=datetime.now(UTC) - timedelta(seconds=1))


def an_asking(tenant: UUID, **more: Any) -> Approval:
    """An approval of which its subscribers are told."""
    an_agent(tenant)
    row = an_approval(tenant, a_run(Api(tenant))["id"], risk="high", **more)
    with tenancy.scope(tenant):
        notify(row, "approval.requested", {})
    return row


def one_notice(tenant: UUID) -> UUID:
    an_asking(tenant)
    return notices(tenant)[-1].id


def test_asking_and_deciding_leave_signed_messages_without_the_content(room: Room) -> None:
    tenant = UUID(room.ground.tenant)
    with a_hook() as hook, hooked(tenant, hook) as made:
        room.apply(ASKS)
        run_id = room.play(of(pay))
        with room.scope():
            row = Approval.objects.get(run_id=run_id)
            decision = Decide(
                approval_id=row.pk, decision="approve", digest=row.digest, version=row.version
            )
            decide_approval(decision, by=SYSTEM, now=datetime.now(UTC))
        told = [deliver(tenant, one.id) for one in notices(tenant)]

        assert told == ["sent", "sent"]
        bodies = [Webhook(made.secret).verify(body, headers) for headers, body in hook.got]
    data = bodies[0]["data"]
    assert [body["type"] for body in bodies] == ["approval.requested", "approval.decided"]
    assert (data["tool"], data["run"]) == ("desk.pay", run_id)
    assert data["link"] == f"https://ops.example.com/admin/approvals/{row.pk}/"
    assert bodies[1]["data"]["decision"] == "approve"
    assert not {"arguments", "reason"} & {*data}


def test_what_the_tenant_allows_is_in_the_message(tenant: UUID) -> None:
    with a_hook() as hook, hooked(tenant, hook, include=["arguments", "reasons"]):
        an_asking(tenant, arguments={"amount": 7}, reason="above the limit")

        body = notices(tenant)[0].body

    assert body["data"]["arguments"] == {"amount": 7}
    assert body["data"]["reason"] == "above the limit"


def test_time_escalates_warns_and_ends_each_with_one_notice(room: Room) -> None:
    desk.world.forget()
    tenant = UUID(room.ground.tenant)
    with a_hook() as hook, hooked(tenant, hook):
        room.apply(ASKS.replace("on_timeout: reject", "escalate: [{after: 10m, groups: [leads]}]"))
        run_id = room.play(of(pay))
        for _ in range(4):
            room.ground.pass_time(run_id, 16 * 60)
            room.ground.sweep(run_id)
            room.ground.sweep(run_id)

        assert [one.event for one in notices(tenant)] == [
            "approval.requested",
            "approval.escalated",
            "approval.expiring",
            "approval.expired",
        ]


def test_a_person_who_hands_on_and_a_run_that_ends_are_told_of(room: Room) -> None:
    desk.world.forget()
    tenant = UUID(room.ground.tenant)
    with a_hook() as hook, hooked(tenant, hook, events=EVENTS[1:]):
        room.apply(ASKS)
        run_id = room.play(of(pay))
        with room.scope():
            row = Approval.objects.get(run_id=run_id)
            Api(tenant)  # somebody called "a caller"
            to = review.Escalate(approval_id=row.pk, owners=["a caller"])
            review.escalate(to, by=SYSTEM, now=datetime.now(UTC))
        room.ground.cancel(run_id)

        events = [one.event for one in notices(tenant)]
    assert events == ["approval.escalated", "approval.withdrawn"]


@pytest.mark.parametrize("status", [500, 302, 404])
def test_a_receiver_that_says_no_is_asked_again_later_under_the_same_id(
    tenant: UUID, status: int
) -> None:
    with a_hook(lambda n: status if n == 1 else 200) as hook, hooked(tenant, hook):
        notice = one_notice(tenant)
        first = deliver(tenant, notice)
        waits = notices(tenant)[0]
        too_soon = deliver(tenant, notice)
        now_due(tenant)
        second = deliver(tenant, notice)

    ids = {headers["webhook-id"] for headers, _ in hook.got}
    assert (first, too_soon, second) == ("waiting", "not due", "sent")
    assert (waits.status, f"{status}" in waits.error) == (status, True)
    assert (len(hook.got), len(ids)) == (2, 1)
    assert hook.got[0][1] == hook.got[1][1]


def test_a_receiver_that_hangs_is_left_after_a_while(tenant: UUID) -> None:
    free = threading.Event()

    def hang(_: int) -> int:
        free.wait(60)
        return 200

    with a_hook(hang) as hook, hooked(tenant, hook):
        told = deliver(tenant, one_notice(tenant), seconds=0.5)
        free.set()

    assert told == "waiting"
    assert "no answer within" in notices(tenant)[0].error


def test_after_the_last_attempt_it_is_dead_says_why_and_a_person_sends_it_again(
    tenant: UUID,
) -> None:
    with a_hook(lambda n: 200 if n > len(PAUSES) + 1 else 500) as hook, hooked(tenant, hook):
        notice = one_notice(tenant)
        states = []
        for _ in range(len(PAUSES) + 1):
            now_due(tenant)
            states.append(deliver(tenant, notice))
        dead = notices(tenant)[0]
        with tenancy.scope(tenant):
            resend(notice, by=SYSTEM, now=datetime.now(UTC))
        after = deliver(tenant, notice)

    assert states == ["waiting"] * len(PAUSES) + ["dead"]
    assert dead.error == "it answered 500"
    assert after == "sent"
    assert len({headers["webhook-id"] for headers, _ in hook.got}) == 1


def test_a_receiver_that_is_gone_switches_its_subscription_off(tenant: UUID) -> None:
    with a_hook(lambda _: 410) as hook, hooked(tenant, hook) as made:
        told = deliver(tenant, one_notice(tenant))
        an_approval(tenant, a_run(Api(tenant))["id"])

    with tenancy.scope(tenant):
        row = Subscription.objects.get(pk=made.id)
    assert (told, row.enabled) == ("dead", False)
    assert "410" in row.stopped_because


KILLED = """
import os, sys
from uuid import UUID
import django
django.setup()
from django.conf import settings
from policy.operations.deliver import deliver
settings.NOTIFY_HOSTS = [sys.argv[3]]
deliver(UUID(sys.argv[1]), UUID(sys.argv[2]))
"""


def test_a_sender_that_is_killed_between_is_followed_by_another_with_the_same_id(
    tenant: UUID,
) -> None:
    free = threading.Event()

    def answer(n: int) -> int:
        if n == 1:
            free.wait(60)
        return 200

    with a_hook(answer) as hook, hooked(tenant, hook):
        notice = one_notice(tenant)
        with subprocess.Popen(  # noqa: S603 - our own code
            [sys.executable, "-c", KILLED, str(tenant), str(notice), hook.address],
            cwd=ROOT,
            env={**os.environ, "AGENTOPS_DATABASE_ROLE": "app"},
        ) as sender:
            assert hook.arrived.wait(60)
            sender.kill()
        left = notices(tenant)[0]
        not_yet = deliver(tenant, notice)
        now_due(tenant)
        again = deliver(tenant, notice)
        free.set()

    assert (left.state, not_yet, again) == (NoticeState.SENDING, "not due", "sent")
    assert len(hook.got) == 2
    assert len({headers["webhook-id"] for headers, _ in hook.got}) == 1


def test_the_sweeper_asks_for_what_is_due_a_few_of_each_receiver(
    tenant: UUID, system_pool: Any
) -> None:
    with a_hook() as hook, hooked(tenant, hook):
        row = an_asking(tenant)
        with tenancy.scope(tenant):
            for _ in range(9):
                notify(row, "approval.requested", {})
        asked: set[UUID] = set()

        def send(whose: UUID, which: UUID) -> bool:
            asked.update({which} if whose == tenant else ())
            return True

        sweeper = Sweeper(pool=system_pool, send=lambda _: [], backlog=lambda: 0, send_notice=send)

        def swept() -> int:
            """Sweep until all that is due anywhere was asked for; count what is ours."""
            while sweeper.round()["notices_due"]:
                pass
            return len(asked)

        assert swept() == 4
        assert {deliver(tenant, one) for one in asked} == {"sent"}
        assert swept() == 8


def test_a_new_secret_signs_and_the_old_one_for_a_day(tenant: UUID) -> None:
    with a_hook() as hook, hooked(tenant, hook) as made:
        with tenancy.scope(tenant):
            new = renew_secret(made.id, version=1, by=SYSTEM)
            stored = bytes(Subscription.objects.get(pk=made.id).secret)
        deliver(tenant, one_notice(tenant))

    headers, body = hook.got[0]
    assert Webhook(made.secret).verify(body, headers) == Webhook(new).verify(body, headers)
    assert new.encode() not in stored


def test_a_letter_goes_out_under_the_notices_own_id(tenant: UUID) -> None:
    with (
        a_post_office() as (port, letters),
        override_settings(
            EMAIL_BACKEND="django.core.mail.backends.smtp.EmailBackend",
            EMAIL_HOST="127.0.0.1",
            EMAIL_PORT=port,
            PUBLIC_URL="https://ops.example.com",
        ),
    ):
        wanted = SetSubscription(name="us", channel="email", addresses=["ann@example.com"])
        with tenancy.scope(tenant):
            add_subscription(wanted, by=SYSTEM)
        notice = one_notice(tenant)
        told = deliver(tenant, notice)

    assert told == "sent"
    assert "Subject: Approval wanted: payments.refund" in letters[0]
    assert f"Message-ID: <msg_{notice.hex}@agentops>" in letters[0]
    assert "https://ops.example.com/admin/approvals/" in letters[0]
    assert "amount" not in letters[0]


def test_without_a_mail_server_nobody_can_subscribe_by_mail(tenant: UUID) -> None:
    answer = Api(tenant).post(
        "/api/v1/subscriptions",
        {"name": "us", "channel": "email", "addresses": ["ann@example.com"]},
    )

    assert answer.status_code == 422
    assert "AGENTOPS_SMTP_URL" in answer.content.decode()


def test_over_http_the_secret_is_shown_once_and_stored_in_no_answer(tenant: UUID) -> None:
    api, wanted = Api(tenant), {"name": "us", "channel": "webhook", "url": "https://a.example/in"}

    made = api.post("/api/v1/subscriptions", wanted, key="once")
    again = api.post("/api/v1/subscriptions", wanted, key="once")
    where = made.headers["Location"]
    renewed = api.post(f"{where}/secret", None, If_Match='"1"')
    changed = api.put(where, {**wanted, "events": ["approval.expiring"]}, If_Match='"2"')
    stale = api.delete(where, If_Match='"1"')
    removed = api.delete(where, If_Match='"3"')

    assert made.status_code == 201
    assert made.json()["secret"].startswith("whsec_")
    assert again.json() == {k: v for k, v in made.json().items() if k != "secret"}
    assert renewed.json()["secret"] not in {"", made.json()["secret"]}
    assert changed.json()["events"] == ["approval.expiring"]
    assert (stale.status_code, removed.status_code) == (412, 204)
    assert api.get("/api/v1/subscriptions").json()["results"] == []
    with tenancy.scope(tenant), connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM policy_auditevent WHERE detail::text LIKE '%whsec%'")
        assert cursor.fetchone()[0] == 0


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"url": "https://127.0.0.1/in"}, "/url"),
        ({"url": "http://a.example/in"}, "/url"),
        ({"name": " "}, "/name"),
        ({"events": []}, "/events"),
    ],
)
def test_a_subscription_that_makes_no_sense_says_where(
    tenant: UUID, change: dict[str, Any], pointer: str
) -> None:
    wanted = {"name": "us", "channel": "webhook", "url": "https://a.example/in", **change}

    answer = Api(tenant).post("/api/v1/subscriptions", wanted)

    assert answer.status_code == 422
    assert [one["pointer"] for one in json.loads(answer.content)["errors"]] == [pointer]


def test_notices_are_listed_and_sent_again_over_http(tenant: UUID) -> None:
    api = Api(tenant)
    with a_hook() as hook, hooked(tenant, hook):
        notice = one_notice(tenant)
        underway = api.post(f"/api/v1/notices/{notice}/resend")
        deliver(tenant, notice)
        listed = api.get("/api/v1/notices?state=sent").json()["results"]
        again = api.post(f"/api/v1/notices/{notice}/resend")

    assert underway.json()["code"] == "notice_underway"
    assert [one["message_id"] for one in listed] == [f"msg_{notice.hex}"]
    assert (again.status_code, again.json()["state"]) == (202, "waiting")
    assert api.get(f"/api/v1/notices/{notice}").json()["attempts"] == 0
