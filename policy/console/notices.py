"""Notifications: who is told of approvals, and what became of each notice."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from policy.console.pages import StaffRequest, attempt, first_time, may, page, require, staff_page
from policy.core.notices import CONTENTS, EVENTS
from policy.errors import InvalidSubscription
from policy.models import NoticeState, Role
from policy.operations.subscriptions import (
    SetSubscription,
    add_subscription,
    change_subscription,
    remove_subscription,
    renew_secret,
    resend,
)
from policy.queries import notices as queries

SHOWN = 50
TONES = {
    NoticeState.WAITING: "busy",
    NoticeState.SENDING: "busy",
    NoticeState.SENT: "good",
    NoticeState.DEAD: "bad",
}


@staff_page
def index(request: StaffRequest) -> HttpResponse:
    """Show the subscriptions, and the last notices."""
    state = request.GET.get("state", "")
    state = state if state in NoticeState.values else ""
    subscribed = queries.subscriptions()
    names = {one.id: one.name for one in subscribed}
    found = queries.notices(state=state, position=None, limit=SHOWN).items
    chosen = next((one for one in subscribed if str(one.id) == request.GET.get("change")), None)
    return page(
        request,
        "console/notices.html",
        "Notifications",
        subscriptions=subscribed,
        notices=[
            (one, names.get(one.subscription_id, ""), TONES[NoticeState(one.state)])
            for one in found
        ],
        state=state,
        chosen=chosen,
        events=EVENTS,
        contents=CONTENTS,
        may_change=may(request.actor, Role.ADMIN),
        may_resend=may(request.actor, Role.OPERATOR),
    )


@staff_page
def subscribe(request: StaffRequest) -> HttpResponse:
    """Subscribe, or change a subscription, by POST only. A new secret is shown this once."""
    made: list[str] = []

    def act() -> None:
        require(request.actor, Role.ADMIN)
        wanted = _wanted(request)
        if not first_time(request, "console.subscriptions.set"):
            raise InvalidSubscription("this form was sent before; look at what it did")
        if request.POST.get("subscription"):
            chosen, version = UUID(request.POST["subscription"]), _version(request)
            change_subscription(chosen, wanted, version=version, by=request.actor)
        else:
            made.append(add_subscription(wanted, by=request.actor).secret)

    if request.method != "POST" or not attempt(request, act, ValueError):
        return redirect("console-notices")
    messages.success(request, "Set. It counts from the next event on.")
    return _shown_once(request, made[0]) if made and made[0] else redirect("console-notices")


@staff_page
def secret(request: StaffRequest, subscription_id: UUID) -> HttpResponse:
    """Make a new secret and show it, this once. Only by POST."""
    made: list[str] = []

    def act() -> None:
        require(request.actor, Role.ADMIN)
        version = _version(request)
        made.append(renew_secret(subscription_id, version=version, by=request.actor))

    if request.method != "POST" or not attempt(request, act, ValueError):
        return redirect("console-notices")
    return _shown_once(request, made[0])


@staff_page
def remove(request: StaffRequest, subscription_id: UUID) -> HttpResponse:
    """Remove a subscription, by POST only."""

    def act() -> None:
        require(request.actor, Role.ADMIN)
        remove_subscription(subscription_id, version=_version(request), by=request.actor)

    if request.method == "POST" and attempt(request, act, ValueError):
        messages.success(request, "Removed.")
    return redirect("console-notices")


@staff_page
def again(request: StaffRequest, notice_id: UUID) -> HttpResponse:
    """Send a notice again, by POST only."""

    def act() -> None:
        require(request.actor, Role.OPERATOR)
        resend(notice_id, by=request.actor, now=timezone.now())

    if request.method == "POST" and attempt(request, act, ValueError):
        messages.success(request, "It is sent again now, under the same message id.")
    return redirect("console-notices")


def _wanted(request: StaffRequest) -> SetSubscription:
    form = {name: request.POST.get(name, "").replace("\x00", "").strip() for name in request.POST}
    return SetSubscription(
        name=form.get("name", "")[:100],
        channel=form.get("channel", ""),
        url=form.get("url", ""),
        addresses=form.get("addresses", "").replace(",", " ").split(),
        events=request.POST.getlist("events"),
        include=request.POST.getlist("include"),
        enabled=form.get("enabled") == "1",
    )


def _version(request: StaffRequest) -> int:
    text = request.POST.get("version", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0  # noqa: PLR2004


def _shown_once(request: StaffRequest, made: str) -> HttpResponse:
    response = page(request, "console/secret_shown.html", "Webhook secret", secret=made)
    response["Cache-Control"] = "no-store"
    return response
