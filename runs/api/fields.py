"""How values of runs look on the wire."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.utils.dateparse import parse_datetime
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from policy.api.fields import ApprovalStateField, BudgetSerializer, LimitsSerializer, MoneyField
from policy.api.pages import PageQuery
from policy.api.views import StrictSerializer
from policy.models import ApprovalState, BudgetScope
from runs.core.admission import Priority
from runs.core.lifecycle import Reason, RunState

MOST_METADATA: Final = 50
LONGEST_DEADLINE: Final = timedelta(days=366)


@extend_schema_field(
    {
        "oneOf": [
            {"type": "number", "exclusiveMinimum": 0, "description": "seconds from now"},
            {"type": "string", "format": "date-time"},
        ]
    }
)
class DeadlineField(serializers.Field[Any, Any, Any, Any]):
    """A moment, or a number of seconds from now; either way a duration to come."""

    def to_internal_value(self, data: Any) -> timedelta:
        """Read it.

        Raises:
            ValidationError: it is neither, lies in the past, or too far ahead.
        """
        left = self._left(data)
        if not timedelta(0) < left <= LONGEST_DEADLINE:
            raise serializers.ValidationError("must be in the future, within a year")
        return left

    def _left(self, data: Any) -> timedelta:
        if isinstance(data, int | float) and not isinstance(data, bool):
            seconds = min(max(float(data), -1.0), LONGEST_DEADLINE.total_seconds() + 1)
            return timedelta(seconds=seconds)
        moment = _moment(data)
        if moment is None or moment.tzinfo is None:
            raise serializers.ValidationError(
                "must be a number of seconds from now, or a moment like 2030-01-31T12:00:00Z"
            )
        return moment - datetime.now(UTC)


def _moment(data: Any) -> datetime | None:
    try:
        return parse_datetime(data) if isinstance(data, str) else None
    except ValueError:
        return None


class StartRequest(StrictSerializer):
    """Which agent to run, on what, within which bounds."""

    agent = serializers.CharField(max_length=200)
    version = serializers.CharField(max_length=50, required=False, allow_null=True, default=None)
    input = serializers.JSONField(allow_null=True)
    budget = LimitsSerializer(required=False, allow_null=True, default=None)
    deadline = DeadlineField(required=False, allow_null=True, default=None)
    thread = serializers.UUIDField(
        required=False,
        allow_null=True,
        default=None,
        help_text="An id of your own; runs of one thread share its budget",
    )
    metadata = serializers.DictField(required=False, default=dict)
    priority = serializers.ChoiceField(
        [priority.value for priority in Priority],
        required=False,
        default=Priority.NORMAL.value,
        help_text="Among the tenant's own runs that wait; `high` is for admins",
    )

    def validate_metadata(self, value: dict[str, Any]) -> dict[str, Any]:
        """Keep it small.

        Raises:
            ValidationError: it has more than 50 names.
        """
        if len(value) > MOST_METADATA:
            raise serializers.ValidationError(f"may have {MOST_METADATA} names")
        return value


class ReasonRequest(StrictSerializer):
    """Why somebody does it."""

    reason = serializers.CharField(required=False, default="", allow_blank=True, max_length=500)


class SignalRequest(StrictSerializer):
    """What to tell a run. The same `id` is the same signal, however often it is sent."""

    name = serializers.CharField(max_length=200)
    payload = serializers.JSONField(required=False, allow_null=True, default=None)
    id = serializers.CharField(required=False, default="", allow_blank=True, max_length=200)


class SignalSerializer(serializers.Serializer[Any]):
    """A signal that was kept."""

    id = serializers.CharField()


class RunQuery(PageQuery):
    """Which runs. Also `metadata.NAME=VALUE`, as often as wanted."""

    state = serializers.CharField(required=False, help_text="One or more states, with commas")
    agent = serializers.CharField(required=False, max_length=200)
    parent = serializers.UUIDField(  # type: ignore[assignment]  # fields leave the class
        required=False, help_text="Only the children of this run"
    )

    def validate_state(self, value: str) -> frozenset[str]:
        """Read the states.

        Raises:
            ValidationError: one is none.
        """
        states = frozenset(value.split(","))
        if unknown := sorted(states - {state.value for state in RunState}):
            raise serializers.ValidationError(
                f"{', '.join(unknown)}: states are {', '.join(state.value for state in RunState)}"
            )
        return states


class ApprovalQuery(PageQuery):
    """Which approvals."""

    state = ApprovalStateField(ApprovalState.values, required=False)
    run = serializers.UUIDField(required=False)


class BudgetQuery(PageQuery):
    """Which budgets."""

    scope = serializers.ChoiceField(BudgetScope.values, required=False)
    scope_id = serializers.UUIDField(required=False)


class EffectQuery(StrictSerializer):
    """How much of the ledger, and after which place."""

    after = serializers.CharField(required=False, help_text="`next_after` of the page before")
    limit = serializers.IntegerField(required=False, default=200, min_value=1, max_value=1000)

    def validate_after(self, value: str) -> tuple[int, str, int]:
        """Read a place like 3/act/0.

        Raises:
            ValidationError: it is none.
        """
        step, _, rest = value.partition("/")
        task, _, ordinal = rest.rpartition("/")
        if not (_is_small(step) and task and _is_small(ordinal)):
            raise serializers.ValidationError("must be a place like 3/act/0")
        return int(step), task, int(ordinal)


def _is_small(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10  # noqa: PLR2004


class RunSerializer(serializers.Serializer[Any]):
    """A run as lists show it."""

    id = serializers.UUIDField()
    agent = serializers.CharField()
    version = serializers.CharField()
    state = serializers.ChoiceField([state.value for state in RunState])
    reason = serializers.ChoiceField(
        [reason.value for reason in Reason if reason], allow_blank=True
    )
    super_step = serializers.IntegerField()
    started_by = serializers.CharField()
    metadata = serializers.DictField()
    error_class = serializers.CharField()
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    deadline = serializers.DateTimeField(allow_null=True)
    deadline_left = serializers.FloatField(
        allow_null=True, help_text="Seconds left, while the deadline stands still for people"
    )
    deadline_stops_for_people = serializers.BooleanField(
        help_text="Whether it stands still while a person must act: the agent declares it"
    )
    parent_id = serializers.UUIDField(
        allow_null=True, help_text="The run that started this one, where a run did"
    )


class WaitingOnSerializer(serializers.Serializer[Any]):
    """The named thing that a run waits for."""

    kind = serializers.CharField()
    id = serializers.UUIDField(allow_null=True)
    text = serializers.CharField()
    since = serializers.DateTimeField(allow_null=True)
    until = serializers.DateTimeField(allow_null=True)


ERROR: Final = {
    "type": ["object", "null"],
    "properties": {"class": {"type": "string"}, "detail": {"type": "string"}},
    "required": ["class", "detail"],
}


class RunDetailSerializer(RunSerializer):
    """Everything there is to say of a run itself."""

    input = serializers.JSONField(allow_null=True)
    output = serializers.JSONField(allow_null=True)
    error = serializers.SerializerMethodField()
    waiting_on = WaitingOnSerializer(many=True)
    budgets = BudgetSerializer(many=True)
    cancel_requested_at = serializers.DateTimeField(allow_null=True)
    crashes = serializers.IntegerField()
    history_removed_at = serializers.DateTimeField(
        allow_null=True, help_text="When its history was removed; see the tenant's retention"
    )
    origin_run_id = serializers.UUIDField(allow_null=True)
    compensates_id = serializers.UUIDField(allow_null=True)
    answers_id = serializers.UUIDField(
        allow_null=True, help_text="The approval of another run that it was asked about"
    )
    origin_super_step = serializers.IntegerField(allow_null=True)

    @extend_schema_field(ERROR)
    def get_error(self, view: Any) -> dict[str, str] | None:
        """Give class and detail, or null."""
        if not view.error_class:
            return None
        return {"class": view.error_class, "detail": view.error_detail}


class TaskSerializer(serializers.Serializer[Any]):
    """One task of a super-step."""

    id = serializers.CharField()
    node = serializers.CharField()
    state = serializers.CharField()
    crashes = serializers.IntegerField()


class StepSerializer(serializers.Serializer[Any]):
    """One super-step."""

    super_step = serializers.IntegerField()
    state = serializers.CharField()
    tasks = TaskSerializer(many=True)
    effects = serializers.ListField(child=serializers.CharField())
    cost = MoneyField()
    tokens = serializers.IntegerField()
    wrote = serializers.ListField(child=serializers.CharField())
    began_at = serializers.DateTimeField()
    committed_at = serializers.DateTimeField(allow_null=True)


class EventSerializer(serializers.Serializer[Any]):
    """One thing that happened to a run."""

    seq = serializers.IntegerField()
    type = serializers.CharField()
    data = serializers.JSONField()  # type: ignore[assignment]
    at = serializers.DateTimeField()


class EffectSerializer(serializers.Serializer[Any]):
    """One entry of the effect ledger."""

    key = serializers.CharField()
    super_step = serializers.IntegerField()
    task = serializers.CharField()
    ordinal = serializers.IntegerField()
    kind = serializers.CharField()
    name = serializers.CharField()
    version = serializers.CharField()
    effect = serializers.CharField()
    digest = serializers.CharField()
    state = serializers.CharField()
    attempt = serializers.IntegerField()
    request = serializers.JSONField()
    outcome = serializers.JSONField(allow_null=True)
    error_class = serializers.CharField()
    decision = serializers.JSONField()
    approval_id = serializers.UUIDField(allow_null=True)
    cost = MoneyField()
    input_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    price_version = serializers.CharField()
    claimed_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)


class CheckpointSerializer(serializers.Serializer[Any]):
    """A checkpoint as it is stored."""

    super_step = serializers.IntegerField()
    head = serializers.JSONField()
    writes = serializers.JSONField()
    at = serializers.DateTimeField()


class AgentVersionSerializer(serializers.Serializer[Any]):
    """One version of an agent."""

    version = serializers.CharField()
    kind = serializers.CharField()
    definition = serializers.JSONField()
    created_at = serializers.DateTimeField()


class AgentSerializer(serializers.Serializer[Any]):
    """An agent and its versions, the newest first."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    created_at = serializers.DateTimeField()
    versions = AgentVersionSerializer(many=True)
