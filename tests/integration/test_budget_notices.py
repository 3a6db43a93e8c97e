"""Subscribers are told how much of a budget is used up: once for each share and period."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.test import override_settings
from standardwebhooks.webhooks import Webhook

from policy.core.actor import SYSTEM
from policy.core.money import Limits, Period
from policy.models import Notice
from policy.operations.deliver import deliver
from policy.operations.subscriptions import SetSubscription, add_subscription
from tests.contract.builds import a_save, a_tool, done, put
from tests.contract.grounds import LEASE, claim
from tests.contract.test_store_budgets import DAY, call, place
from tests.http import Api
from tests.integration.engine_room import Room
from tests.receivers import a_hook, a_post_office


def subscribed(room: Room, **how: Any) -> str:
    with room.scope():
        wanted = SetSubscription(name="us", events=["budget.alerted"], **how)
        return add_subscription(wanted, by=SYSTEM).secret


def told(room: Room) -> list[Notice]:
    with room.scope():
        return list(Notice.objects.order_by("created_at", "id"))


def test_each_share_of_a_limit_is_one_signed_message_under_one_id(room: Room) -> None:
    tenant = UUID(room.ground.tenant)
    name = room.ground.share(Limits(tool_calls=4))
    answers = [503, 200, 200, 200]
    with (
        a_hook(lambda n: answers[n - 1]) as hook,
        override_settings(NOTIFY_HOSTS=[hook.address], PUBLIC_URL="https://ops.example.com"),
    ):
        secret = subscribed(room, channel="webhook", url=hook.url)
        call(room.ground, room.ground.start("a"), 5)
        first, *others = told(room)
        states = [deliver(tenant, first.id)]
        with room.scope():
            Notice.objects.update(next_at=datetime.now(UTC) - timedelta(seconds=1))
        states += [deliver(tenant, one.id) for one in (first, *others)]

        bodies = [Webhook(secret).verify(body, headers) for headers, body in hook.got]
    ids = [headers["webhook-id"] for headers, _ in hook.got]
    percents = [body["data"]["percent"] for body in bodies]
    data = bodies[0]["data"]
    assert states == ["waiting", "sent", "sent", "sent"]
    assert sorted(percents[1:]) == [50, 80, 100]
    assert (ids[0], len(set(ids))) == (ids[1], 3)
    assert (data["unit"], data["bar"], data["budget"]) == ("tool_calls", "hard", name)
    assert data["link"] == f"https://ops.example.com/admin/budgets/{name}/"
    assert first.approval_id is None


def test_a_new_period_tells_again_and_the_same_one_does_not(room: Room) -> None:
    room.ground.share(Limits(tool_calls=2), period=Period.DAY)
    with a_hook() as hook, override_settings(NOTIFY_HOSTS=[hook.address]):
        subscribed(room, channel="webhook", url=hook.url)
        first, second = room.ground.start("a"), room.ground.start("a")
        call(room.ground, first, 3)
        call(room.ground, room.ground.start("a"), 1)
        in_one = sorted(one.body["data"]["percent"] for one in told(room))
        room.ground.pass_time(second, 3 * DAY + 60)
        call(room.ground, second, 1)

    assert in_one == [50, 80, 100]
    assert [one.body["data"]["percent"] for one in told(room)][3:] == [50]


def test_who_asked_only_for_approvals_is_not_told(room: Room) -> None:
    room.ground.share(Limits(tool_calls=1))
    with a_hook() as hook, override_settings(NOTIFY_HOSTS=[hook.address]), room.scope():
        wanted = SetSubscription(
            name="us", channel="webhook", url=hook.url, events=["approval.requested"]
        )
        add_subscription(wanted, by=SYSTEM)
    call(room.ground, room.ground.start("a"), 2)

    assert told(room) == []


def test_what_is_not_committed_tells_nobody(room: Room) -> None:
    room.ground.share(Limits(tool_calls=2))
    with a_hook() as hook, override_settings(NOTIFY_HOSTS=[hook.address]):
        subscribed(room, channel="webhook", url=hook.url)
    claimed = claim(room.ground, room.ground.start("a"))
    put(room.ground, claimed, a_tool(place(0)))
    before = told(room)

    room.ground.store.save(claimed.lease, a_save(claimed, effects=[done(place(0))]), ttl=LEASE)

    assert (before, len(told(room))) == ([], 1)


def test_a_letter_says_how_much_of_what_is_used_up(room: Room) -> None:
    tenant = UUID(room.ground.tenant)
    room.ground.share(Limits(tool_calls=2))
    with (
        a_post_office() as (port, letters),
        override_settings(
            EMAIL_BACKEND="django.core.mail.backends.smtp.EmailBackend",
            EMAIL_HOST="127.0.0.1",
            EMAIL_PORT=port,
            PUBLIC_URL="https://ops.example.com",
        ),
    ):
        subscribed(room, channel="email", addresses=["ann@example.com"])
        call(room.ground, room.ground.start("a"), 1)
        [notice] = told(room)
        state = deliver(tenant, notice.id)

    assert state == "sent"
    assert "Subject: 50 % of a budget used up: tool_calls of the tenant" in letters[0]
    assert "decide it there" not in letters[0]


def test_notices_of_a_budget_are_found_over_http(room: Room) -> None:
    tenant = UUID(room.ground.tenant)
    name = room.ground.share(Limits(tool_calls=2))
    with a_hook() as hook, override_settings(NOTIFY_HOSTS=[hook.address]):
        subscribed(room, channel="webhook", url=hook.url)
        call(room.ground, room.ground.start("a"), 1)

    [found] = Api(tenant).get(f"/api/v1/notices?budget={name}").json()["results"]

    assert (found["budget_id"], found["approval_id"]) == (name, None)
    assert found["event"] == "budget.alerted"
