"""How values of policy look on the wire: approvals, budgets, money."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from policy.api.views import StrictSerializer, money
from policy.core.money import Unit
from policy.models import ApprovalKind, ApprovalState, BudgetScope
from policy.queries import UnitBalance


class MoneyField(serializers.CharField):
    """US dollars as a decimal text."""

    def to_representation(self, value: Any) -> str:
        """Write it with at least two places."""
        return money(value)


@extend_schema_field({"anyOf": [{"type": "string", "enum": ApprovalState.values}]})
class ApprovalStateField(serializers.ChoiceField):
    """Where an approval stands."""


class CostSerializer(serializers.Serializer[Any]):
    """What may be spent of money, and was."""

    limit = MoneyField(allow_null=True, help_text="null: no limit")
    spent = MoneyField()
    reserved = MoneyField()
    overdraft = MoneyField()
    left = MoneyField(allow_null=True)
    currency = serializers.SerializerMethodField()

    def get_currency(self, balance: UnitBalance) -> str:  # noqa: ARG002
        """Name the currency: there is one."""
        return "USD"


class CountSerializer(serializers.Serializer[Any]):
    """What may be spent of a plain count, and was."""

    limit = serializers.IntegerField(allow_null=True, help_text="null: no limit")
    spent = serializers.IntegerField()
    reserved = serializers.IntegerField()
    overdraft = serializers.IntegerField()
    left = serializers.IntegerField(allow_null=True)


class BudgetSerializer(serializers.Serializer[Any]):
    """What one scope may spend, has spent, and has set aside."""

    id = serializers.UUIDField()
    scope = serializers.ChoiceField(BudgetScope.values)
    scope_id = serializers.UUIDField()
    version = serializers.IntegerField()
    cost = CostSerializer()
    tokens = CountSerializer()
    model_calls = CountSerializer()
    tool_calls = CountSerializer()
    created_at = serializers.DateTimeField()


class RaiseSerializer(serializers.Serializer[Any]):
    """A limit that somebody raised."""

    unit = serializers.CharField()
    amount = MoneyField()
    raised_by = serializers.CharField()
    reason = serializers.CharField()
    created_at = serializers.DateTimeField()


class BudgetDetailSerializer(BudgetSerializer):
    """A budget, and who raised it."""

    raises = RaiseSerializer(many=True)


class RaiseRequest(StrictSerializer):
    """By how much to raise what, and why."""

    unit = serializers.ChoiceField([unit.value for unit in Unit])
    amount = serializers.DecimalField(max_digits=20, decimal_places=9, min_value=Decimal("1E-9"))
    reason = serializers.CharField(max_length=500)


class ApprovalSerializer(serializers.Serializer[Any]):
    """A question to a person about one exact call."""

    id = serializers.UUIDField()
    kind = serializers.ChoiceField(ApprovalKind.values)
    state = ApprovalStateField(ApprovalState.values)
    version = serializers.IntegerField(help_text="Send it back as If-Match, in quotes")
    run_id = serializers.UUIDField()
    effect_key = serializers.CharField()
    agent = serializers.CharField()
    tool = serializers.CharField()
    tool_version = serializers.CharField()
    summary = serializers.CharField()
    arguments = serializers.JSONField()
    digest = serializers.CharField(help_text="Of tool, version and arguments; send it back")
    policy_version = serializers.CharField()
    rule = serializers.CharField()
    reason = serializers.CharField()
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    decided_at = serializers.DateTimeField(allow_null=True)
    decided_by = serializers.CharField()
    decision_reason = serializers.CharField()
    result = serializers.JSONField(allow_null=True)


class DecideRequest(StrictSerializer):
    """A decision on exactly the call that the digest names."""

    decision = serializers.ChoiceField(["approve", "reject", "happened", "not_happened"])
    digest = serializers.RegexField(r"^[0-9a-f]{64}$")
    reason = serializers.CharField(required=False, default="", allow_blank=True, max_length=2000)
    result = serializers.JSONField(
        required=False,
        default=None,
        allow_null=True,
        help_text="What the call gave, with the decision happened",
    )


class LimitsSerializer(StrictSerializer):
    """The most that a run may spend of each unit; what is left out has no limit of its own."""

    cost = serializers.DecimalField(
        max_digits=20, decimal_places=9, min_value=Decimal(0), required=False
    )
    tokens = serializers.IntegerField(min_value=0, max_value=2**62, required=False)
    model_calls = serializers.IntegerField(min_value=0, max_value=2**62, required=False)
    tool_calls = serializers.IntegerField(min_value=0, max_value=2**62, required=False)
