"""Budgets: `spent + reserved <= limit` in every unit, at every commit."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from policy.core.money import Unit
from policy.models.base import TenantRow


def _money(**options: object) -> models.DecimalField:  # type: ignore[type-arg]
    return models.DecimalField(max_digits=20, decimal_places=9, **options)  # type: ignore[arg-type]


def _within(unit: Unit) -> models.CheckConstraint:
    limit = f"{unit}_limit"
    taken = F(f"{unit}_spent") + F(f"{unit}_reserved")
    return models.CheckConstraint(
        name=f"budget_{unit}_within_limit",
        condition=Q(**{f"{limit}__isnull": True}) | Q(**{f"{limit}__gte": taken}),
    )


def _never_negative(unit: Unit) -> models.CheckConstraint:
    return models.CheckConstraint(
        name=f"budget_{unit}_not_negative",
        condition=Q(**{f"{unit}_spent__gte": 0, f"{unit}_reserved__gte": 0}),
    )


class BudgetScope(models.TextChoices):
    """Whose spending a budget bounds."""

    RUN = "run"
    TENANT = "tenant"


class Budget(TenantRow):
    """What one scope may spend, has spent, and has set aside. A limit of NULL is no limit."""

    id = models.UUIDField(primary_key=True)
    scope = models.CharField(max_length=20, choices=BudgetScope.choices)
    scope_id = models.UUIDField()
    version = models.PositiveIntegerField(default=1)
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
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(TenantRow.Meta):
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "scope", "scope_id"], name="one_budget_per_scope"
            ),
            *[_within(unit) for unit in Unit],
            *[_never_negative(unit) for unit in Unit],
        ]

    def __str__(self) -> str:
        return f"{self.scope} {self.scope_id}"


class BudgetRaise(TenantRow):
    """A limit that somebody raised: how much of what, who and why. Never edited."""

    id = models.UUIDField(primary_key=True)
    budget = models.ForeignKey(Budget, on_delete=models.PROTECT, related_name="raises")
    unit = models.CharField(max_length=20, choices=[(u.value, u.value) for u in Unit])
    amount = _money()
    raised_by = models.CharField(max_length=200)
    reason = models.CharField(max_length=500)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(TenantRow.Meta):
        constraints = [
            models.CheckConstraint(name="raise_is_positive", condition=Q(amount__gt=0)),
        ]
