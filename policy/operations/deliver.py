"""Deliver a notice: at least once, under one message id, and for about a day.

    waiting ─claim─▶ sending ─2xx─▶ sent
       ▲                │  └─refused, too often─▶ dead      a person may send it again
       └─ later, or its worker died ─┘

Nothing is locked and no connection held while the receiver is talked to. Whoever claims a notice
has it for a while; what a worker that was away says afterwards counts no more.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import structlog
from django.conf import settings
from django.db import connection
from django.utils import timezone

from policy import tenancy
from policy.audit import record
from policy.core.actor import SYSTEM
from policy.core.notices import pause
from policy.errors import SecretUnreadable
from policy.models import Channel, Notice, NoticeState, Subscription
from policy.notifying import Message, Tried, mail, post, written
from policy.notifying.webhooks import SECONDS
from policy.secrets import Secret, decrypt

log = structlog.get_logger()

LEASE: Final = timedelta(seconds=60)
"""How long a sender has a notice: several times as long as an attempt may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A notice that this sender has, for one attempt."""

    message: Message
    channel: str
    attempt: int


def deliver(tenant_id: UUID, notice_id: UUID, *, seconds: float = SECONDS) -> str:
    """Try a notice that is due, and give its state afterwards; harmless for any other.

    The receiver of a webhook has so many seconds to answer.
    """
    try:
        claimed = _claim(tenant_id, notice_id)
        if claimed is None:
            return "not due"
        connection.close()  # held across no call to the world
        return _end(tenant_id, notice_id, claimed, _try(claimed, seconds))
    finally:
        connection.close()


def _claim(tenant_id: UUID, notice_id: UUID) -> Claimed | None:
    """Take a notice, or give None where it is not due; an unreadable secret makes it dead."""
    now = timezone.now()
    with tenancy.scope(tenant_id):
        row = Notice.objects.select_for_update(of=("self",)).filter(pk=notice_id).first()
        if row is None or row.next_at > now:
            return None
        if row.state not in {NoticeState.WAITING, NoticeState.SENDING}:
            return None
        subscription = Subscription.objects.get(pk=row.subscription_id)
        if not subscription.enabled:
            _die(row, "the subscription is switched off")
            return None
        try:
            message = _message(row, subscription, now)
        except SecretUnreadable as error:
            _die(row, str(error))
            return None
        row.state, row.attempts, row.next_at = NoticeState.SENDING, row.attempts + 1, now + LEASE
        row.save(update_fields=["state", "attempts", "next_at"])
        return Claimed(message=message, channel=subscription.channel, attempt=row.attempts)


def _die(row: Notice, error: str) -> None:
    row.state, row.error = NoticeState.DEAD, error[:300]
    row.save(update_fields=["state", "error"])


def _message(row: Notice, subscription: Subscription, now: datetime) -> Message:
    stored = [subscription.secret]
    if subscription.old_secret_until is not None and subscription.old_secret_until > now:
        stored.append(subscription.old_secret)
    return Message(
        id=row.message_id,
        event=row.event,
        body=written(row.body, base=settings.PUBLIC_URL),
        url=subscription.url,
        addresses=tuple(subscription.addresses),
        secrets=tuple(Secret(decrypt(row.tenant_id, bytes(s))) for s in stored if s),
    )


def _try(claimed: Claimed, seconds: float) -> Tried:
    if claimed.channel == Channel.EMAIL:
        return mail(claimed.message)
    return post(claimed.message, now=timezone.now(), allowed=settings.NOTIFY_HOSTS, seconds=seconds)


def _end(tenant_id: UUID, notice_id: UUID, claimed: Claimed, tried: Tried) -> str:
    """Write down what came of it, unless somebody else has it by now."""
    with tenancy.scope(tenant_id):
        row = Notice.objects.select_for_update(of=("self",)).filter(pk=notice_id).first()
        if row is None or (row.state, row.attempts) != (NoticeState.SENDING, claimed.attempt):
            return "somebody else has it"
        row.status, row.error = tried.status, tried.error.replace("\x00", "")[:300]
        wait = None if tried.is_gone else pause(row.attempts, random.random())  # noqa: S311
        if tried.sent:
            row.state, row.sent_at = NoticeState.SENT, timezone.now()
        elif wait is None:
            row.state = NoticeState.DEAD
            log.warning("notice.dead", notice=str(notice_id), detail=row.error)
        else:
            row.state, row.next_at = NoticeState.WAITING, timezone.now() + wait
        row.save()
        if tried.is_gone:
            _stop(row.subscription_id)
        return row.state


def _stop(subscription_id: UUID) -> None:
    """Switch a subscription off whose receiver said that it is gone (410)."""
    why = "the receiver answered 410 Gone"
    found = (
        Subscription.objects.select_for_update().filter(pk=subscription_id, enabled=True).first()
    )
    if found is not None:
        found.enabled, found.stopped_because, found.version = False, why, found.version + 1
        found.save(update_fields=["enabled", "stopped_because", "version"])
        record(SYSTEM, "subscription.stopped", f"subscription/{found.id}", {"reason": why})
