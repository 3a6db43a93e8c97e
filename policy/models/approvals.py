"""Approvals: questions that a person decides once, bound to the exact call."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.functions import RandomUUID
from django.db import models
from django.db.models.functions import Now

from policy.models.base import TenantRow


class ApprovalState(models.TextChoices):
    """Where an approval stands; every state but open is final."""

    OPEN = "open"
    APPROVED = "approved"
    REJECTED = "rejected"
    RESPONDED = "responded"
    HAPPENED = "happened"
    NOT_HAPPENED = "not_happened"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


class ApprovalKind(models.TextChoices):
    """What is asked: may a call happen, did it, does a run go on, may its answer leave."""

    TOOL_CALL = "tool_call"
    OUTCOME_UNKNOWN = "outcome_unknown"
    GUARD = "guard"
    ANSWER = "answer"


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
    # Who is asked, and what if nobody answers: copied from the rule's terms when it was asked.
    risk = models.CharField(max_length=20, blank=True, db_default="")
    started_by = models.CharField(max_length=200, blank=True, db_default="")
    terms = models.JSONField(default=dict, db_default={})
    groups = ArrayField(models.CharField(max_length=100), default=list, db_default=[])
    owners = ArrayField(models.CharField(max_length=200), default=list, db_default=[])
    rung = models.PositiveSmallIntegerField(db_default=0)
    next_at = models.DateTimeField(null=True)
    escalated_at = models.DateTimeField(null=True)
    extended = models.BooleanField(db_default=False)
    warn_at = models.DateTimeField(null=True)
    # Why it was held, and what was measured of the call.
    triggers = models.JSONField(default=list, db_default=[])
    signals = models.JSONField(default=dict, db_default={})
    # What people did to it that is no decision.
    claimed_by = models.CharField(max_length=200, blank=True, db_default="")
    claimed_name = models.CharField(max_length=200, blank=True, db_default="")
    claimed_until = models.DateTimeField(null=True)
    deferred_until = models.DateTimeField(null=True)
    edited_by = models.CharField(max_length=200, blank=True, db_default="")
    proposed = models.JSONField(null=True)
    corrections = models.JSONField(default=dict, db_default={})
    delegate_run_id = models.UUIDField(null=True)

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
            models.Index(
                fields=["warn_at"], name="approval_warn", condition=models.Q(state="open")
            ),
            models.Index(
                fields=["next_at"], name="approval_next", condition=models.Q(state="open")
            ),
            models.Index(
                fields=["delegate_run_id"],
                name="approval_delegated",
                condition=models.Q(state="open", delegate_run_id__isnull=False),
            ),
            models.Index(fields=["tenant", "tool", "agent", "decided_at"], name="approval_past"),
        ]

    def __str__(self) -> str:
        return f"{self.tool} for {self.agent}"


class DecisionAction(models.TextChoices):
    """What somebody did to an approval. Those that end it are final."""

    APPROVE = "approve"
    EDIT = "edit"
    REJECT = "reject"
    RESPOND = "respond"
    ESCALATE = "escalate"
    DELEGATE = "delegate"
    DEFER = "defer"
    COMMENT = "comment"
    CLAIM = "claim"
    RELEASE = "release"
    HAPPENED = "happened"
    NOT_HAPPENED = "not_happened"
    EXPIRE = "expire"
    WITHDRAW = "withdraw"


class ApprovalDecision(TenantRow):
    """One thing that somebody did to an approval. Append-only; one of them at most is final."""

    id = models.UUIDField(primary_key=True, db_default=RandomUUID())
    approval = models.ForeignKey(Approval, on_delete=models.PROTECT, related_name="decisions")
    action = models.CharField(max_length=20, choices=DecisionAction.choices)
    at = models.DateTimeField(db_default=Now())
    by = models.CharField(max_length=200)
    name = models.CharField(max_length=200)
    reason = models.TextField(blank=True, db_default="")
    digest = models.CharField(max_length=64)
    version = models.PositiveIntegerField()
    is_final = models.BooleanField(db_default=False)
    detail = models.JSONField(default=dict, db_default={})

    class Meta(TenantRow.Meta):
        constraints = [
            models.UniqueConstraint(
                fields=["approval"],
                condition=models.Q(is_final=True),
                name="one_final_decision_per_approval",
            ),
        ]
        indexes = [models.Index(fields=["approval", "at"], name="decisions_of_approval")]

    def __str__(self) -> str:
        return f"{self.action} by {self.name}"
