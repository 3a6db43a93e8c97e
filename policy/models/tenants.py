"""Tenants, the principals that act in them, and the keys that prove who calls."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models

from policy import tenancy
from policy.core.rules.approvals import RISKS
from policy.models.base import TenantRow

LONGEST_RETENTION = 36_500
"""Days, about a century: longer means for ever, which is NULL."""
LONGEST_COUNT = 24 * 366
"""Hours, about a year."""
HEAVIEST = 1000


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
    retention_days = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text="Days that an ended run keeps its history; empty: for ever.",
    )
    weight = models.PositiveSmallIntegerField(
        default=1, db_default=1, help_text="Its share of the workers, against other tenants'."
    )
    max_active = models.PositiveIntegerField(
        null=True, blank=True, help_text="Runs that may be worked on at once; empty: no bound."
    )
    max_queued = models.PositiveIntegerField(
        null=True, blank=True, help_text="Runs that may wait to be started; empty: the usual bound."
    )
    max_file_bytes = models.PositiveBigIntegerField(
        null=True, blank=True, help_text="Bytes that its runs' files may have; empty: no bound."
    )
    raise_alone_up_to = models.DecimalField(
        max_digits=20,
        decimal_places=9,
        null=True,
        blank=True,
        help_text="US dollars that one person may raise budgets by alone; empty: any amount.",
    )
    raise_alone_hours = models.PositiveSmallIntegerField(
        default=24,
        db_default=24,
        help_text="Hours in which all that one person raises alone counts together.",
    )
    answers = models.JSONField(
        default=dict,
        db_default={},
        blank=True,
        editable=False,
        help_text="What is done with secrets, links and ids in answers; redact where not said.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="tenant_weight_is_a_share",
                condition=models.Q(weight__range=(1, HEAVIEST)),
            ),
            models.CheckConstraint(
                name="tenant_bounds_only_above_nothing",
                condition=~models.Q(max_active=0) & ~models.Q(max_queued=0),
            ),
            models.CheckConstraint(
                name="tenant_file_bytes_only_above_nothing",
                condition=~models.Q(max_file_bytes=0),
            ),
            models.CheckConstraint(
                name="tenant_retention_is_days",
                condition=models.Q(retention_days__isnull=True)
                | models.Q(retention_days__range=(1, LONGEST_RETENTION)),
            ),
            models.CheckConstraint(
                name="tenant_raise_alone_is_not_negative",
                condition=models.Q(raise_alone_up_to__isnull=True)
                | models.Q(raise_alone_up_to__gte=0),
            ),
            models.CheckConstraint(
                name="tenant_raise_alone_hours_is_positive",
                condition=models.Q(raise_alone_hours__range=(1, LONGEST_COUNT)),
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @staticmethod
    def locked() -> Tenant:
        """Give the scope's tenant; what changes it, or its policies, comes one after another.

        Raises:
            NoTenantScope: no scope is open.
        """
        tenant_id = tenancy.required("Tenant")
        return Tenant.objects.select_for_update(no_key=True).get(pk=tenant_id)


class Role(models.TextChoices):
    """What a principal may do in its tenant."""

    VIEWER = "viewer", "Viewer: sees everything, content masked"
    REVIEWER = "reviewer", "Reviewer: decides approvals"
    FINANCE = "finance", "Finance: raises budgets"
    OPERATOR = "operator", "Operator: starts, cancels and resumes runs"
    ADMIN = "admin", "Tenant admin: keys, agents, policies"


class Team(TenantRow):
    """People and services that spend together. Runs that they start count for it."""

    id = models.UUIDField(primary_key=True)
    name = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(TenantRow.Meta):
        constraints = [models.UniqueConstraint(fields=["tenant", "name"], name="team_name_once")]

    def __str__(self) -> str:
        return self.name


class Principal(TenantRow):
    """Somebody or something that acts in a tenant: a person, or a service with a key."""

    id = models.UUIDField(primary_key=True)
    name = models.CharField(max_length=200)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    roles = ArrayField(models.CharField(max_length=20, choices=Role.choices), default=list)
    scopes = ArrayField(
        models.CharField(max_length=100),
        default=list,
        blank=True,
        help_text="What data its runs may touch, in words that rules ask for, like crm:read.",
    )
    groups = ArrayField(
        models.CharField(max_length=100),
        default=list,
        db_default=[],
        blank=True,
        help_text="Reviewer groups, as rules of a policy name them.",
    )
    team = models.ForeignKey(
        Team,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="principals",
        help_text="Whose budget the runs count for that it starts from now on.",
    )
    decides_up_to = models.CharField(
        max_length=20,
        choices=[(risk, risk) for risk in RISKS],
        default="critical",
        db_default="critical",
        help_text="The highest risk of a call that this reviewer may decide.",
    )
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
