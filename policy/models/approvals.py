"""Approvals: questions that a person decides once, bound to the exact call."""

from __future__ import annotations

from django.db import models

from policy.models.base import TenantRow


class ApprovalState(models.TextChoices):
    """Where an approval stands; every state but open is final."""

    OPEN = "open"
    APPROVED = "approved"
    REJECTED = "rejected"
    HAPPENED = "happened"
    NOT_HAPPENED = "not_happened"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


class ApprovalKind(models.TextChoices):
    """What is asked: may this call happen, or did it happen."""

    TOOL_CALL = "tool_call"
    OUTCOME_UNKNOWN = "outcome_unknown"


class Approval(TenantRow):
    """A question to a person about one call of one run."""

    id = models.UUIDField(primary_key=True)
    kind = models.CharField(max_length=20, choices=ApprovalKind.choices)
    state = models.CharField(
        max_length=20, choices=ApprovalState.choices, default=ApprovalState.OPEN
    )
    version = models.PositiveIntegerField(default=1)
    run_id = models.UUIDField()
    effect_key = models.CharField(max_length=300)
    agent = models.CharField(max_length=200)
    tool = models.CharField(max_length=200)
    tool_version = models.CharField(max_length=100)
    arguments = models.JSONField()
    digest = models.CharField(max_length=64)
    policy_version = models.CharField(max_length=40, blank=True)
    rule = models.CharField(max_length=100, blank=True)
    reason = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True)
    decided_by = models.CharField(max_length=200, blank=True)
    decision_reason = models.TextField(blank=True)
    result = models.JSONField(null=True)

    class Meta(TenantRow.Meta):
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "effect_key"],
                condition=models.Q(state="open"),
                name="one_open_approval_per_effect",
            ),
            models.CheckConstraint(
                name="approval_decided_iff_not_open",
                condition=models.Q(state="open", decided_at__isnull=True)
                | (~models.Q(state="open") & models.Q(decided_at__isnull=False)),
            ),
            models.CheckConstraint(
                name="approval_state_is_known",
                condition=models.Q(state__in=ApprovalState.values),
            ),
        ]
        indexes = [
            models.Index(fields=["tenant", "state", "created_at"], name="approval_queue"),
            models.Index(fields=["run_id"], name="approval_of_run"),
            models.Index(
                fields=["expires_at"], name="approval_due", condition=models.Q(state="open")
            ),
        ]

    def __str__(self) -> str:
        return f"{self.tool} for {self.agent}"
