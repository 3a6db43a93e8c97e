"""Policies: versions of ordered rules.

A version that was never in force is a draft and may be edited; once it was, nothing about
its rules changes any more, which the database itself sees to (`policy/sql/policies.sql`).
"""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models

from policy.core.rules.decide import Decision
from policy.models.base import TenantRow


class PolicyState(models.TextChoices):
    """Where a version stands."""

    DRAFT = "draft", "Draft: may be edited, judges nothing"
    ACTIVE = "active", "Active: every call is judged by it"
    RETIRED = "retired", "Retired: was active once"


class PolicyVersion(TenantRow):
    """One numbered set of rules of a tenant. `revision` counts the edits of a draft."""

    id = models.UUIDField(primary_key=True)
    number = models.PositiveIntegerField()
    note = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.CharField(max_length=200, blank=True)
    revision = models.PositiveIntegerField(default=1)
    edited_at = models.DateTimeField(null=True)
    edited_by = models.CharField(max_length=200, blank=True)
    activated_at = models.DateTimeField(null=True)
    answers = models.JSONField(
        default=dict,
        db_default={},
        blank=True,
        help_text="Who decides about answers that are held, and by when.",
    )

    class Meta(TenantRow.Meta):
        constraints = [
            models.UniqueConstraint(fields=["tenant", "number"], name="policy_number_once"),
        ]

    def __str__(self) -> str:
        return f"policy {self.number}"


class PolicyRule(TenantRow):
    """One rule of a policy version. Asked by falling priority, then by position."""

    id = models.BigAutoField(primary_key=True)
    policy = models.ForeignKey(PolicyVersion, on_delete=models.PROTECT, related_name="rules")
    position = models.PositiveIntegerField()
    priority = models.IntegerField(default=0)
    name = models.CharField(max_length=100)
    decision = models.CharField(max_length=20, choices=[(d.value, d.value) for d in Decision])
    tools = models.CharField(max_length=200, default="*", help_text="Pattern, e.g. payments.*")
    agents = models.CharField(max_length=200, default="*", help_text="Pattern, e.g. refunds*")
    selectors = models.JSONField(
        default=dict, blank=True, help_text="What else is asked of a call, see docs/policies.md"
    )
    effects = ArrayField(models.CharField(max_length=20), default=list, blank=True)
    condition = models.TextField(blank=True, help_text="CEL, e.g. args.amount <= 100")
    reason = models.CharField(max_length=500, blank=True)
    expires_after = models.DurationField(null=True, blank=True)
    approval = models.JSONField(
        default=dict, db_default={}, blank=True, help_text="Who decides, and what if nobody does."
    )

    class Meta(TenantRow.Meta):
        ordering = ["-priority", "position"]
        constraints = [
            models.UniqueConstraint(fields=["policy", "name"], name="rule_name_once_per_policy"),
            models.CheckConstraint(
                name="rule_decision_is_known",
                condition=models.Q(decision__in=[d.value for d in Decision]),
            ),
        ]

    def __str__(self) -> str:
        return self.name
