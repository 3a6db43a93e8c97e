"""Budgets: `spent + reserved <= limit` in every unit, at every commit."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from policy.core.money import Period, Unit
from policy.models.base import TenantRow

UNITS = [(unit.value, unit.value) for unit in Unit]


def _money(**options: object) -> models.DecimalField:  # type: ignore[type-arg]
    return models.DecimalField(max_digits=20, decimal_places=9, **options)  # type: ignore[arg-type]


def _within(row: str, unit: Unit) -> models.CheckConstraint:
    limit = f"{unit}_limit"
    taken = F(f"{unit}_spent") + F(f"{unit}_reserved")
    return models.CheckConstraint(
        name=f"{row}_{unit}_within_limit",
        condition=Q(**{f"{limit}__isnull": True}) | Q(**{f"{limit}__gte": taken}),
    )


def _never_negative(row: str, unit: Unit) -> models.CheckConstraint:
    return models.CheckConstraint(
        name=f"{row}_{unit}_not_negative",
        condition=Q(**{f"{unit}_spent__gte": 0, f"{unit}_reserved__gte": 0}),
    )


class BudgetScope(models.TextChoices):
    """Whose spending a budget bounds."""

    RUN = "run"
    CHILD = "child"
    THREAD = "thread"
    AGENT = "agent"
    USER = "user"
    TEAM = "team"
    TENANT = "tenant"


class Balances(TenantRow):
    """What may be spent of each unit, was, and is set aside. A limit of NULL is no limit."""

    cost_limit = _money(null=True)
    cost_spent = _money(default=0)
    cost_reserved = _money(default=0)
    cost_overdraft = _money(default=0)
    tokens_limit = models.BigIntegerField(null=True)
    tokens_spent = models.BigIntegerField(default=0)
    tokens_reserved = models.BigIntegerField(default=0)
    tokens_overdraft = models.BigIntegerField(default=0)
    model_calls_limit = models.BigIntegerField(null=True)
    model_calls_spent = models.BigIntegerField(default=0)
    model_calls_reserved = models.BigIntegerField(default=0)
    model_calls_overdraft = models.BigIntegerField(default=0)
    tool_calls_limit = models.BigIntegerField(null=True)
    tool_calls_spent = models.BigIntegerField(default=0)
    tool_calls_reserved = models.BigIntegerField(default=0)
    tool_calls_overdraft = models.BigIntegerField(default=0)

    class Meta(TenantRow.Meta):
        abstract = True


class Budget(Balances):
    """What one scope may spend in the period that is, has spent, and has set aside.

    `lapsed` is the part of a limit that a raise granted for a time, that is over, and that is
    still taken: a reservation is compared with the limit without it. `extras` are the raises
    that end: [{unit, amount, until}], without `until` at the end of the period. `alerted` is
    the set of alerts that people got in this period, six bits for each unit. All this
    and the period itself is moved on by `policy_turn`, when `turns_at` has come.
    """

    id = models.UUIDField(primary_key=True)
    scope = models.CharField(max_length=20, choices=BudgetScope.choices)
    scope_id = models.UUIDField()
    version = models.PositiveIntegerField(default=1)
    cost_soft = _money(null=True)
    cost_lapsed = _money(default=0, db_default=0)
    tokens_soft = models.BigIntegerField(null=True)
    tokens_lapsed = models.BigIntegerField(default=0, db_default=0)
    model_calls_soft = models.BigIntegerField(null=True)
    model_calls_lapsed = models.BigIntegerField(default=0, db_default=0)
    tool_calls_soft = models.BigIntegerField(null=True)
    tool_calls_lapsed = models.BigIntegerField(default=0, db_default=0)
    period = models.CharField(
        max_length=5,
        choices=[(p.value, p.value) for p in Period],
        default=Period.NONE,
        db_default=Period.NONE.value,
    )
    period_anchor = models.DateTimeField(null=True)
    period_starts_at = models.DateTimeField(null=True)
    period_ends_at = models.DateTimeField(null=True)
    turns_at = models.DateTimeField(null=True)
    extras = models.JSONField(default=list, db_default=[])
    alerted = models.IntegerField(default=0, db_default=0)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(Balances.Meta):
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "scope", "scope_id"], name="one_budget_per_scope"
            ),
            *[_within("budget", unit) for unit in Unit],
            *[_never_negative("budget", unit) for unit in Unit],
            models.CheckConstraint(
                name="budget_has_dates_iff_period",
                condition=Q(
                    period=Period.NONE, period_starts_at__isnull=True, period_ends_at__isnull=True
                )
                | ~Q(period=Period.NONE)
                & Q(
                    period_anchor__isnull=False,
                    period_starts_at__isnull=False,
                    period_ends_at__isnull=False,
                ),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.scope} {self.scope_id}"


class BudgetPeriod(Balances):
    """A period of a budget that is over. What was reserved in it is settled here, too."""

    id = models.BigAutoField(primary_key=True)
    budget = models.ForeignKey(Budget, on_delete=models.PROTECT, related_name="periods")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()

    class Meta(Balances.Meta):
        constraints = [
            models.UniqueConstraint(fields=["budget", "ends_at"], name="one_row_per_closed_period"),
            *[_within("period", unit) for unit in Unit],
            *[_never_negative("period", unit) for unit in Unit],
        ]


class RaiseKind(models.TextChoices):
    """For how long a raise holds."""

    PERMANENT = "permanent"
    ONCE = "once"
    UNTIL = "until"


class BudgetRaise(TenantRow):
    """A limit that somebody raised: how much of what, for how long, who and why. Never edited.

    Without `confirmed_by` it was granted by one person alone, and counts for what they may grant.
    """

    id = models.UUIDField(primary_key=True)
    budget = models.ForeignKey(Budget, on_delete=models.PROTECT, related_name="raises")
    unit = models.CharField(max_length=20, choices=UNITS)
    amount = _money()
    kind = models.CharField(
        max_length=9,
        choices=RaiseKind.choices,
        default=RaiseKind.PERMANENT,
        db_default=RaiseKind.PERMANENT.value,
    )
    until = models.DateTimeField(null=True)
    raised_by = models.CharField(max_length=200)
    raised_by_id = models.CharField(max_length=200, default="", db_default="")
    confirmed_by = models.CharField(max_length=200, default="", db_default="")
    reason = models.CharField(max_length=500)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(TenantRow.Meta):
        constraints = [
            models.CheckConstraint(name="raise_is_positive", condition=Q(amount__gt=0)),
            models.CheckConstraint(
                name="raise_has_date_iff_until",
                condition=Q(kind=RaiseKind.UNTIL, until__isnull=False)
                | ~Q(kind=RaiseKind.UNTIL) & Q(until__isnull=True),
            ),
        ]
        indexes = [
            models.Index(fields=["tenant", "raised_by_id", "created_at"], name="raise_by_whom")
        ]


class ProposalState(models.TextChoices):
    """What became of a raise that a second person has to confirm."""

    OPEN = "open"
    CONFIRMED = "confirmed"
    DECLINED = "declined"


class ProposalKind(models.TextChoices):
    """What is proposed: a raise of some kind, another period, or that nothing is limited."""

    PERMANENT = RaiseKind.PERMANENT.value
    ONCE = RaiseKind.ONCE.value
    UNTIL = RaiseKind.UNTIL.value
    PERIOD = "period"
    LIFT = "lift"


class RaiseProposal(TenantRow):
    """A raise above what one person may grant alone: it waits for another's confirmation.

    Another period, and no limits at all, raise by no `amount` that could be named: what is to
    hold then stands in `change`.
    """

    id = models.UUIDField(primary_key=True)
    budget = models.ForeignKey(Budget, on_delete=models.PROTECT, related_name="proposals")
    state = models.CharField(
        max_length=9, choices=ProposalState.choices, default=ProposalState.OPEN
    )
    unit = models.CharField(max_length=20, choices=UNITS)
    amount = _money()
    kind = models.CharField(max_length=9, choices=ProposalKind.choices)
    until = models.DateTimeField(null=True)
    change = models.JSONField(default=dict, db_default={})
    reason = models.CharField(max_length=500)
    proposed_by = models.CharField(max_length=200)
    proposed_by_id = models.CharField(max_length=200)
    decided_by = models.CharField(max_length=200, default="", blank=True)
    decided_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(TenantRow.Meta):
        constraints = [
            models.CheckConstraint(
                name="proposal_is_positive_iff_raise",
                condition=Q(kind__in=RaiseKind.values, amount__gt=0)
                | ~Q(kind__in=RaiseKind.values) & Q(amount=0),
            ),
            models.CheckConstraint(
                name="proposal_decided_iff_not_open",
                condition=Q(state=ProposalState.OPEN, decided_at__isnull=True)
                | ~Q(state=ProposalState.OPEN) & Q(decided_at__isnull=False),
            ),
        ]
