"""Set who is told of approvals. Each change is written down in the audit log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils import timezone
from uuid_utils.compat import uuid7

from policy import tenancy
from policy.audit import record
from policy.core.actor import Actor
from policy.core.notices import CONTENTS, EVENTS
from policy.errors import (
    InvalidSubscription,
    NoticeUnderway,
    SubscriptionChanged,
    UnknownNotice,
    UnknownSubscription,
)
from policy.models import Channel, Notice, NoticeState, Subscription
from policy.notifying import new_secret
from policy.notifying.addresses import why_not_url
from policy.notifying.mail import NO_SERVER
from policy.secrets import encrypt

MOST_ADDRESSES: Final = 20
MOST_SUBSCRIPTIONS: Final = 50
OVERLAP: Final = timedelta(hours=24)
"""For how long an old secret still signs beside the new one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetSubscription:
    """A subscription as it is to be."""

    name: str
    channel: str
    url: str = ""
    addresses: Sequence[str] = ()
    events: Sequence[str] = EVENTS
    include: Sequence[str] = ()
    enabled: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribed:
    """A new subscription, and a webhook's secret, which nobody is shown again."""

    id: UUID
    secret: str = ""


def add_subscription(wanted: SetSubscription, *, by: Actor) -> Subscribed:
    """Subscribe the open scope's tenant.

    Raises:
        InvalidSubscription: nothing was set; says what is wrong.
    """
    values = _checked(wanted)
    if Subscription.objects.count() >= MOST_SUBSCRIPTIONS:
        raise InvalidSubscription(f"{MOST_SUBSCRIPTIONS} subscriptions are the most")
    if Subscription.objects.filter(name=values["name"]).exists():
        raise InvalidSubscription("there is a subscription of this name", "/name")
    row = Subscription(id=uuid7(), created_by=by.name, **values)
    row.tenant_id = tenancy.required("Subscription")
    secret = _signs_anew(row) if row.channel == Channel.WEBHOOK else ""
    row.save(force_insert=True)
    record(by, "subscription.added", f"subscription/{row.id}", _told(row))
    return Subscribed(id=row.id, secret=secret)


def change_subscription(
    subscription_id: UUID, wanted: SetSubscription, *, version: int, by: Actor
) -> None:
    """Change a subscription that is still what the caller saw; it keeps its secret.

    Raises:
        UnknownSubscription, SubscriptionChanged, InvalidSubscription: nothing was changed.
    """
    row = _locked(subscription_id, version)
    values = _checked(wanted)
    if values["channel"] != row.channel:
        raise InvalidSubscription("add another subscription for another channel", "/channel")
    if Subscription.objects.filter(name=values["name"]).exclude(pk=row.pk).exists():
        raise InvalidSubscription("there is a subscription of this name", "/name")
    for name, value in values.items():
        setattr(row, name, value)
    row.version, row.stopped_because = row.version + 1, ""
    row.save()
    record(by, "subscription.changed", f"subscription/{row.id}", _told(row))


def remove_subscription(subscription_id: UUID, *, version: int, by: Actor) -> None:
    """Remove a subscription, and its notices, sent or not.

    Raises:
        UnknownSubscription, SubscriptionChanged: nothing was changed.
    """
    row = _locked(subscription_id, version)
    record(by, "subscription.removed", f"subscription/{row.id}", _told(row))
    row.delete()


def renew_secret(subscription_id: UUID, *, version: int, by: Actor) -> str:
    """Make a new secret; for a day the one before signs, too.

    Raises:
        UnknownSubscription, SubscriptionChanged: nothing was changed.
        InvalidSubscription: it is no webhook, and signs nothing.
    """
    row = _locked(subscription_id, version)
    if row.channel != Channel.WEBHOOK:
        raise InvalidSubscription("only webhooks are signed")
    row.old_secret, row.old_secret_until = row.secret, timezone.now() + OVERLAP
    row.version += 1
    secret = _signs_anew(row)
    row.save()
    record(by, "subscription.secret_renewed", f"subscription/{row.id}", {"name": row.name})
    return secret


def resend(notice_id: UUID, *, by: Actor, now: datetime) -> None:
    """Send a notice again that was sent or is dead, under the same message id.

    Raises:
        UnknownNotice: this tenant has no such notice.
        NoticeUnderway: it is still being tried by itself.
    """
    row = Notice.objects.select_for_update().filter(pk=notice_id).first()
    if row is None:
        raise UnknownNotice(f"there is no notice {notice_id}")
    if row.state not in {NoticeState.SENT, NoticeState.DEAD}:
        raise NoticeUnderway(
            "this notice is still being tried by itself; wait, or mend its receiver"
        )
    row.state, row.attempts, row.next_at, row.nudged_at = NoticeState.WAITING, 0, now, None
    row.save(update_fields=["state", "attempts", "next_at", "nudged_at"])
    record(by, "notice.resent", f"notice/{row.id}", {"event": row.event})


def _signs_anew(row: Subscription) -> str:
    secret = new_secret()
    row.secret = encrypt(row.tenant_id, secret)
    return secret


def _locked(subscription_id: UUID, version: int) -> Subscription:
    row = Subscription.objects.select_for_update().filter(pk=subscription_id).first()
    if row is None:
        raise UnknownSubscription(f"there is no subscription {subscription_id}")
    if row.version != version:
        raise SubscriptionChanged("somebody changed this subscription; read it again")
    return row


def _checked(wanted: SetSubscription) -> dict[str, Any]:
    if not wanted.name.strip():
        raise InvalidSubscription("give it a name", "/name")
    if wanted.channel not in Channel.values:
        raise InvalidSubscription("choose webhook or email", "/channel")
    if not wanted.events or set(wanted.events) - set(EVENTS):
        raise InvalidSubscription(f"choose from {', '.join(EVENTS)}", "/events")
    if set(wanted.include) - set(CONTENTS):
        raise InvalidSubscription(f"choose from {', '.join(CONTENTS)}, or nothing", "/include")
    is_webhook = wanted.channel == Channel.WEBHOOK
    return {
        "name": wanted.name.strip(),
        "channel": wanted.channel,
        "url": _url(wanted.url) if is_webhook else "",
        "addresses": [] if is_webhook else _addresses(wanted.addresses),
        "events": [event for event in EVENTS if event in wanted.events],
        "include": [one for one in CONTENTS if one in wanted.include],
        "enabled": wanted.enabled,
    }


def _url(url: str) -> str:
    if why := why_not_url(url, settings.NOTIFY_HOSTS):
        raise InvalidSubscription(why, "/url")
    return url


def _addresses(given: Sequence[str]) -> list[str]:
    if not settings.EMAIL_HOST:
        raise InvalidSubscription(NO_SERVER, "/channel")
    if not 1 <= len(given) <= MOST_ADDRESSES:
        raise InvalidSubscription(f"give 1 to {MOST_ADDRESSES} addresses", "/addresses")
    for address in given:
        try:
            validate_email(address)
        except ValidationError:
            raise InvalidSubscription(f"{address[:60]!r} is no address", "/addresses") from None
    return list(dict.fromkeys(given))


def _told(row: Subscription) -> dict[str, Any]:
    """Give what the audit log keeps: everything but the secret."""
    names = ("name", "channel", "url", "addresses", "events", "include", "enabled")
    return {name: getattr(row, name) for name in names}
