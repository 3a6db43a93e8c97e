"""Subscriptions to what happens to approvals and budgets, and the notices that go out to them."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.functions import RandomUUID
from django.db import models
from django.db.models.functions import Now

from policy.models.base import TenantRow


class Channel(models.TextChoices):
    """How a subscriber is told."""

    WEBHOOK = "webhook"
    EMAIL = "email"


class Subscription(TenantRow):
    """Whom to tell of which events. Secrets are encrypted with the tenant's key.

    For a while after a new secret was made the old one signs, too.
    """

    id = models.UUIDField(primary_key=True)
    name = models.CharField(max_length=100)
    channel = models.CharField(max_length=10, choices=Channel.choices)
    url = models.CharField(max_length=500, blank=True)
    addresses = ArrayField(models.CharField(max_length=254), default=list, blank=True)
    events = ArrayField(models.CharField(max_length=40), default=list)
    include = ArrayField(models.CharField(max_length=20), default=list, blank=True)
    secret = models.BinaryField(default=b"", editable=False)
    old_secret = models.BinaryField(default=b"", editable=False)
    old_secret_until = models.DateTimeField(null=True)
    enabled = models.BooleanField(default=True)
    stopped_because = models.CharField(max_length=300, blank=True, default="")
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.CharField(max_length=200)

    class Meta(TenantRow.Meta):
        constraints = [
            models.UniqueConstraint(fields=["tenant", "name"], name="subscription_name_once"),
        ]

    def __str__(self) -> str:
        return self.name


class NoticeState(models.TextChoices):
    """Where a notice stands. `sending` is a lease: whoever died with it loses it."""

    WAITING = "waiting"
    SENDING = "sending"
    SENT = "sent"
    DEAD = "dead"


class Notice(TenantRow):
    """One message to one subscriber, written with the event that it tells of."""

    id = models.UUIDField(primary_key=True, db_default=RandomUUID())
    subscription = models.ForeignKey(Subscription, on_delete=models.CASCADE, related_name="notices")
    event = models.CharField(max_length=40)
    approval_id = models.UUIDField(null=True)
    budget_id = models.UUIDField(null=True)
    run_id = models.UUIDField(null=True)
    body = models.JSONField()
    state = models.CharField(
        max_length=10, choices=NoticeState.choices, db_default=NoticeState.WAITING
    )
    attempts = models.PositiveSmallIntegerField(db_default=0)
    next_at = models.DateTimeField(db_default=Now())
    nudged_at = models.DateTimeField(null=True)
    status = models.PositiveSmallIntegerField(null=True)
    error = models.CharField(max_length=300, blank=True, db_default="")
    created_at = models.DateTimeField(db_default=Now())
    sent_at = models.DateTimeField(null=True)

    class Meta(TenantRow.Meta):
        constraints = [
            models.CheckConstraint(
                name="notice_state_is_known", condition=models.Q(state__in=NoticeState.values)
            ),
            models.CheckConstraint(
                name="notice_is_of_one_thing",
                condition=models.Q(approval_id__isnull=True) ^ models.Q(budget_id__isnull=True),
            ),
        ]
        indexes = [
            models.Index(fields=["tenant", "state", "created_at"], name="notices_by_state"),
            models.Index(
                fields=["subscription", "next_at"],
                name="notices_unsent",
                condition=models.Q(state__in=["waiting", "sending"]),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.event} to {self.subscription_id}"

    @property
    def message_id(self) -> str:
        """Give what the receiver knows it by, the same at every attempt."""
        return f"msg_{self.id.hex}"
