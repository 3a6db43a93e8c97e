"""Rate limits of a tenant, and the breakers that somebody holds open or closed."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models

from policy.core.limits import LimitUnit
from policy.models.base import TenantRow


class RateLimit(TenantRow):
    """How many calls, or tokens, may go out in a time; counted apart by `per`."""

    id = models.UUIDField(primary_key=True)
    name = models.CharField(max_length=100)
    unit = models.CharField(max_length=10, choices=[(u.value, u.value) for u in LimitUnit])
    amount = models.PositiveBigIntegerField()
    seconds = models.FloatField()
    burst = models.PositiveBigIntegerField(null=True, blank=True)
    per = ArrayField(models.CharField(max_length=20), default=list, blank=True)
    where = models.JSONField(default=dict, blank=True)
    enabled = models.BooleanField(default=True)
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(TenantRow.Meta):
        constraints = [
            models.UniqueConstraint(fields=["tenant", "name"], name="limit_name_once"),
            models.CheckConstraint(
                name="limit_is_positive", condition=models.Q(amount__gt=0, seconds__gt=0)
            ),
        ]

    def __str__(self) -> str:
        return self.name


class SwitchPosition(models.TextChoices):
    """How somebody holds a breaker."""

    OPEN = "open"
    CLOSED = "closed"


class BreakerSwitch(TenantRow):
    """A breaker that somebody holds open or closed; without a row it decides for itself."""

    id = models.UUIDField(primary_key=True)
    dependency = models.CharField(max_length=250)
    position = models.CharField(max_length=10, choices=SwitchPosition.choices)
    reason = models.CharField(max_length=500)
    switched_by = models.CharField(max_length=200)
    switched_at = models.DateTimeField()

    class Meta(TenantRow.Meta):
        constraints = [
            models.UniqueConstraint(fields=["tenant", "dependency"], name="one_switch_each"),
        ]

    def __str__(self) -> str:
        return f"{self.dependency} held {self.position}"
