"""How values of policy look on the wire: approvals, budgets, money."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from policy.api.views import StrictSerializer, money
from policy.core.money import PERCENTS, Bar, Period, Unit
from policy.models import (
    ApprovalKind,
    ApprovalState,
    BudgetScope,
    DecisionAction,
    ProposalKind,
    ProposalState,
    RaiseKind,
)
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
    soft = MoneyField(allow_null=True, help_text="The limit that only tells people; null: none")
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
    soft = serializers.IntegerField(
        allow_null=True, help_text="The limit that only tells people; null: none"
    )
    spent = serializers.IntegerField()
    reserved = serializers.IntegerField()
    overdraft = serializers.IntegerField()
    left = serializers.IntegerField(allow_null=True)


class BudgetSerializer(serializers.Serializer[Any]):
    """What one scope may spend in the period that is, has spent, and has set aside."""

    id = serializers.UUIDField()
    scope = serializers.ChoiceField(BudgetScope.values)
    scope_id = serializers.UUIDField()
    version = serializers.IntegerField()
    period = serializers.ChoiceField([period.value for period in Period])
    period_starts_at = serializers.DateTimeField(allow_null=True)
    period_ends_at = serializers.DateTimeField(allow_null=True)
    cost = CostSerializer()
    tokens = CountSerializer()
    model_calls = CountSerializer()
    tool_calls = CountSerializer()
    created_at = serializers.DateTimeField()


class RaiseSerializer(serializers.Serializer[Any]):
    """A limit that somebody raised."""

    unit = serializers.CharField()
    amount = MoneyField()
    kind = serializers.ChoiceField(RaiseKind.values)
    until = serializers.DateTimeField(allow_null=True)
    raised_by = serializers.CharField()
    confirmed_by = serializers.CharField(help_text="The second person, where one was needed")
    reason = serializers.CharField()
    created_at = serializers.DateTimeField()


class ProposalSerializer(serializers.Serializer[Any]):
    """A raise that a second person has to confirm."""

    id = serializers.UUIDField()
    state = serializers.ChoiceField(ProposalState.values)
    unit = serializers.CharField()
    amount = MoneyField()
    kind = serializers.ChoiceField(
        ProposalKind.values, help_text="period: another period; lift: no limits any more"
    )
    until = serializers.DateTimeField(allow_null=True)
    change = serializers.JSONField(help_text="With kind period: what is to hold")
    reason = serializers.CharField()
    proposed_by = serializers.CharField()
    decided_by = serializers.CharField()
    decided_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()


class AlertSerializer(serializers.Serializer[Any]):
    """That so much of a limit was used up."""

    at = serializers.DateTimeField()
    unit = serializers.CharField()
    bar = serializers.ChoiceField([bar.value for bar in Bar])
    percent = serializers.ChoiceField(PERCENTS, help_text="100 too: a call did not fit any more")
    limit = MoneyField()
    used = MoneyField()
    run_id = serializers.UUIDField(allow_null=True, help_text="Whose booking it was")


class PeriodSerializer(serializers.Serializer[Any]):
    """A period that is over, and what was spent in it."""

    starts_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField()
    cost = CostSerializer()
    tokens = CountSerializer()
    model_calls = CountSerializer()
    tool_calls = CountSerializer()


class BudgetDetailSerializer(BudgetSerializer):
    """A budget, who raised it, what people were told, and its periods that are over."""

    raises = RaiseSerializer(many=True)
    proposals = ProposalSerializer(many=True)
    alerts = AlertSerializer(many=True)
    periods = PeriodSerializer(many=True)


class RaiseRequest(StrictSerializer):
    """By how much to raise what, for how long, and why."""

    unit = serializers.ChoiceField([unit.value for unit in Unit])
    amount = serializers.DecimalField(max_digits=20, decimal_places=9, min_value=Decimal("1E-9"))
    kind = serializers.ChoiceField(
        RaiseKind.values, required=False, default=RaiseKind.PERMANENT.value
    )
    until = serializers.DateTimeField(
        required=False, allow_null=True, default=None, help_text="With kind until"
    )
    reason = serializers.CharField(max_length=500)


class LiftRequest(StrictSerializer):
    """Why a budget is to limit nothing any more."""

    reason = serializers.CharField(max_length=500)


class DeclineRequest(StrictSerializer):
    """Why a proposed raise is not made."""

    reason = serializers.CharField(required=False, default="", allow_blank=True, max_length=500)


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
    risk = serializers.CharField(help_text="Of the tool, when it was asked")
    proposed = serializers.JSONField(
        allow_null=True, help_text="What the agent asked for, where a person edited the call"
    )
    corrections = serializers.JSONField(
        help_text="Channels of the run's state that were corrected with the decision"
    )
    terms = serializers.JSONField(help_text="Of the rule, when it was asked")
    triggers = serializers.JSONField(help_text="What held a call that a rule allows")
    groups = serializers.ListField(child=serializers.CharField(), help_text="Who may decide now")
    owners = serializers.ListField(child=serializers.CharField(), help_text="Who may decide now")
    needed = serializers.IntegerField(source="asked.needed", help_text="How many must approve")
    claimed_by = serializers.CharField(source="claimed_name")
    claimed_until = serializers.DateTimeField(allow_null=True)
    deferred_until = serializers.DateTimeField(allow_null=True)
    escalated_at = serializers.DateTimeField(allow_null=True)
    delegate_run_id = serializers.UUIDField(
        allow_null=True, help_text="The run of the agent that was asked instead"
    )


class DecisionSerializer(serializers.Serializer[Any]):
    """One thing that somebody did to an approval; never changed."""

    id = serializers.UUIDField()
    action = serializers.ChoiceField(DecisionAction.values)
    at = serializers.DateTimeField()
    name = serializers.CharField()
    reason = serializers.CharField()
    digest = serializers.CharField()
    version = serializers.IntegerField()
    is_final = serializers.BooleanField()
    detail = serializers.JSONField()


class PastSerializer(serializers.Serializer[Any]):
    """A call that was decided before."""

    id = serializers.UUIDField()
    state = serializers.CharField()
    arguments = serializers.JSONField()
    decided_by = serializers.CharField()
    decided_at = serializers.DateTimeField()
    decision_reason = serializers.CharField()


class SimilarSerializer(serializers.Serializer[Any]):
    """Decided calls of the same tool by the same agent."""

    approved = serializers.IntegerField()
    edited = serializers.IntegerField(help_text="Approved, after a person edited the call")
    rejected = serializers.IntegerField()
    answered = serializers.IntegerField()
    expired = serializers.IntegerField()
    medians = serializers.JSONField(help_text="Of each argument that is a number, where approved")
    last = PastSerializer(many=True)
    is_first = serializers.BooleanField(help_text="This agent never made a call of this tool")


class CommentRequest(StrictSerializer):
    """What somebody says beside a question."""

    text = serializers.CharField(max_length=2000)


class ClaimRequest(StrictSerializer):
    """For how long to keep a question for oneself."""

    seconds = serializers.IntegerField(
        required=False, default=900, min_value=1, max_value=28800, help_text="default 15 minutes"
    )


class EmptyRequest(StrictSerializer):
    """Nothing to say."""


class OriginSerializer(serializers.Serializer[Any]):
    """Where one leaf of the arguments comes from."""

    pointer = serializers.CharField(help_text="JSON pointer into the arguments; # is a name")
    label = serializers.CharField(  # type: ignore[assignment]
        help_text="What the source is: user, operator, tool and so on"
    )
    trusted = serializers.BooleanField()
    tainted = serializers.BooleanField()
    name = serializers.CharField(help_text="Of the tool or the source")
    place = serializers.CharField(help_text="Effect key of the step that gave it, or empty")
    run = serializers.CharField(allow_null=True)
    super_step = serializers.IntegerField(allow_null=True)


class ReviewableSerializer(serializers.Serializer[Any]):
    """A channel of the run's state that may be corrected with the decision."""

    channel = serializers.CharField()
    value = serializers.JSONField(allow_null=True, help_text="As it is now")
    schema = serializers.JSONField(help_text="What it may be")


class ApprovalDetailSerializer(ApprovalSerializer):
    """A question to people, what they did to it, and where its arguments come from."""

    approved_by = serializers.ListField(
        child=serializers.CharField(), help_text="Who approved the call as it stands"
    )
    why_not = serializers.CharField(help_text="Why the caller may not decide; empty: may")
    decisions = DecisionSerializer(many=True)
    origins = OriginSerializer(many=True)
    cost = MoneyField(help_text="What the call costs, in US dollars")
    reviewable = ReviewableSerializer(many=True)


class DecideRequest(StrictSerializer):
    """A decision on exactly the call that the digest names."""

    decision = serializers.ChoiceField(
        [
            *("approve", "edit", "reject", "respond", "escalate", "defer"),
            *("happened", "not_happened"),
        ]
    )
    digest = serializers.RegexField(r"^[0-9a-f]{64}$")
    reason = serializers.CharField(required=False, default="", allow_blank=True, max_length=2000)
    result = serializers.JSONField(
        required=False,
        default=None,
        allow_null=True,
        help_text="With respond: the answer. With happened: what the call gave",
    )
    arguments = serializers.DictField(required=False, help_text="With edit: all of them, as edited")
    groups = serializers.ListField(
        child=serializers.CharField(max_length=100), required=False, max_length=20
    )
    owners = serializers.ListField(
        child=serializers.CharField(max_length=200),
        required=False,
        max_length=20,
        help_text="With escalate: to whom; owners are names of principals",
    )
    agent = serializers.CharField(
        required=False, max_length=200, help_text="With escalate: an agent to ask instead"
    )
    state = serializers.DictField(
        required=False,
        help_text="With approve, reject, respond: reviewable channels, as they are to be",
    )
    until = serializers.DateTimeField(required=False, help_text="With defer")


class ShownRequest(StrictSerializer):
    """An approval as somebody saw it."""

    id = serializers.UUIDField()
    digest = serializers.RegexField(r"^[0-9a-f]{64}$")
    version = serializers.IntegerField(min_value=1)


class ApproveManyRequest(StrictSerializer):
    """Approvals of one tool, agent and rule, each as it was shown."""

    approvals = ShownRequest(many=True)
    reason = serializers.CharField(required=False, default="", allow_blank=True, max_length=2000)


class OneDecidedSerializer(serializers.Serializer[Any]):
    """What became of one of them."""

    id = serializers.UUIDField(source="approval_id")
    outcome = serializers.ChoiceField(["approved", "decided_before", "changed", "refused"])
    detail = serializers.CharField(help_text="Why, where it was not approved")


class ManyDecidedSerializer(serializers.Serializer[Any]):
    """What became of each, in the order in which they were named."""

    results = OneDecidedSerializer(many=True)


class LimitsSerializer(StrictSerializer):
    """The most that a run may spend of each unit; what is left out has no limit of its own."""

    cost = serializers.DecimalField(
        max_digits=20, decimal_places=9, min_value=Decimal(0), required=False
    )
    tokens = serializers.IntegerField(min_value=0, max_value=2**62, required=False)
    model_calls = serializers.IntegerField(min_value=0, max_value=2**62, required=False)
    tool_calls = serializers.IntegerField(min_value=0, max_value=2**62, required=False)
