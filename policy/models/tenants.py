"""Tenants, the principals that act in them, and the keys that prove who calls."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models

from policy.models.base import TenantRow


class Tenant(models.Model):
    """A customer of the installation: the wall that nothing crosses."""

    id = models.UUIDField(primary_key=True)
    slug = models.SlugField(unique=True, help_text="Short name in addresses and commands.")
    name = models.CharField(max_length=200)
    policy_version = models.ForeignKey(
        "policy.PolicyVersion",
        null=True,
        blank=True,
        editable=False,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="The policy in force. Without one everything is denied.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name


class Role(models.TextChoices):
    """What a principal may do in its tenant."""

    VIEWER = "viewer", "Viewer: sees everything, content masked"
    REVIEWER = "reviewer", "Reviewer: decides approvals"
    FINANCE = "finance", "Finance: raises budgets"
    OPERATOR = "operator", "Operator: starts, cancels and resumes runs"
    ADMIN = "admin", "Tenant admin: keys, agents, policies"


class Principal(TenantRow):
    """Somebody or something that acts in a tenant: a person, or a service with a key."""

    id = models.UUIDField(primary_key=True)
    name = models.CharField(max_length=200)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    roles = ArrayField(models.CharField(max_length=20, choices=Role.choices), default=list)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(TenantRow.Meta):
        constraints = [
            models.UniqueConstraint(fields=["tenant", "user"], name="one_principal_per_user"),
        ]

    def __str__(self) -> str:
        return self.name


class ApiKey(TenantRow):
    """A secret that a service shows to act as a principal. Only its hash is kept."""

    id = models.UUIDField(primary_key=True)
    principal = models.ForeignKey(Principal, on_delete=models.PROTECT, related_name="keys")
    prefix = models.CharField(max_length=24, help_text="The visible first part.")
    hash = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.prefix}…"


class IdempotentAnswer(TenantRow):
    """The answer that was given to a request with an Idempotency-Key, to be given again."""

    id = models.BigAutoField(primary_key=True)
    route = models.CharField(max_length=100)
    key = models.CharField(max_length=255)
    digest = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField()
    body = models.JSONField(null=True)
    headers = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(TenantRow.Meta):
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "route", "key"], name="one_answer_per_idempotency_key"
            ),
        ]
