"""Reads of subscriptions and of notices. Secrets are read by nobody here."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from uuid import UUID

from policy.core.json import JsonObject
from policy.errors import UnknownNotice, UnknownSubscription
from policy.models import Notice, Subscription
from policy.queries.pages import Page, Position, page_of


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionView:
    """A subscription, without what it signs with."""

    id: UUID
    name: str
    channel: str
    url: str
    addresses: list[str]
    events: list[str]
    include: list[str]
    enabled: bool
    stopped_because: str
    old_secret_until: datetime | None
    version: int
    created_at: datetime
    created_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeView:
    """One message to one subscriber, and how far it came."""

    id: UUID
    message_id: str
    subscription_id: UUID
    event: str
    approval_id: UUID | None
    budget_id: UUID | None
    run_id: UUID | None
    body: JsonObject
    state: str
    attempts: int
    next_at: datetime
    status: int | None
    error: str
    created_at: datetime
    sent_at: datetime | None


def subscriptions() -> list[SubscriptionView]:
    """List the scope's subscriptions by name."""
    return [_subscription(row) for row in Subscription.objects.order_by("name")]


def known_subscription(subscription_id: UUID) -> SubscriptionView:
    """Read one; raises UnknownSubscription."""
    row = Subscription.objects.filter(pk=subscription_id).first()
    if row is None:
        raise UnknownSubscription(f"there is no subscription {subscription_id}")
    return _subscription(row)


def notices(
    *,
    state: str = "",
    subscription_id: UUID | None = None,
    approval_id: UUID | None = None,
    budget_id: UUID | None = None,
    position: Position | None,
    limit: int,
) -> Page[NoticeView]:
    """List the scope's notices, newest first."""
    wanted = {
        "state": state,
        "subscription_id": subscription_id,
        "approval_id": approval_id,
        "budget_id": budget_id,
    }
    rows = Notice.objects.filter(**{name: value for name, value in wanted.items() if value})
    return page_of(rows, _notice, position=position, limit=limit)


def known_notice(notice_id: UUID) -> NoticeView:
    """Read one; raises UnknownNotice."""
    row = Notice.objects.filter(pk=notice_id).first()
    if row is None:
        raise UnknownNotice(f"there is no notice {notice_id}")
    return _notice(row)


def _subscription(row: Subscription) -> SubscriptionView:
    return SubscriptionView(**{f.name: getattr(row, f.name) for f in fields(SubscriptionView)})


def _notice(row: Notice) -> NoticeView:
    return NoticeView(**{f.name: getattr(row, f.name) for f in fields(NoticeView)})
