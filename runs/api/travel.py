"""Time travel over HTTP: a run as it was, what changed, and the ways back and aside."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from policy.api.fields import LimitsSerializer
from policy.api.headers import IDEMPOTENCY_KEY
from policy.api.idempotency import Answer, answer_once
from policy.api.views import ApiView, StrictSerializer, body_of, query_of
from policy.core.money import Limits
from policy.models import Role
from runs import queries
from runs.api.fields import DeadlineField, RunDetailSerializer
from runs.core.recorded.compensation import Compensation
from runs.operations.fork import Fork, fork_run
from runs.operations.rewind import Rewind, rewind_run

HIGHEST = 2**31 - 1


def _number(**more: Any) -> serializers.IntegerField:
    return serializers.IntegerField(min_value=0, max_value=HIGHEST, **more)


class StateQuery(StrictSerializer):
    """Which checkpoint."""

    at = _number(required=False, default=None, help_text="A checkpoint; the newest if not given")


class DiffQuery(StrictSerializer):
    """Which two checkpoints."""

    to = _number(required=False, default=None, help_text="The newest if not given")

    def get_fields(self) -> dict[str, Any]:
        """Add the one whose name is a word of Python."""
        before = _number(required=False, default=0, help_text="A checkpoint")
        return {"from": before, **super().get_fields()}


class SinceQuery(StrictSerializer):
    """Since which checkpoint."""

    since = _number(required=False, default=0)


class RewindRequest(StrictSerializer):
    """Where to go back to."""

    super_step = _number()
    reason = serializers.CharField(required=False, default="", allow_blank=True, max_length=500)
    accept_irreversible = serializers.BooleanField(required=False, default=False)


class ForkRequest(StrictSerializer):
    """Where to go on from, and what is different there."""

    super_step = _number()
    state = serializers.DictField(required=False, default=dict)
    version = serializers.CharField(max_length=50, required=False, allow_null=True, default=None)
    budget = LimitsSerializer(required=False, allow_null=True, default=None)
    deadline = DeadlineField(required=False, allow_null=True, default=None)
    metadata = serializers.DictField(required=False, default=dict)


class NextTaskSerializer(serializers.Serializer[Any]):
    """A task that comes next."""

    id = serializers.CharField()
    node = serializers.CharField()
    arg = serializers.JSONField(allow_null=True)


class StateSerializer(serializers.Serializer[Any]):
    """A run's whole state at a checkpoint."""

    super_step = serializers.IntegerField()
    channels = serializers.DictField()
    tasks = NextTaskSerializer(many=True)


class ChangeSerializer(serializers.Serializer[Any]):
    """What became of one channel. Of a log only the items that went and that came."""

    channel = serializers.CharField()
    change = serializers.ChoiceField(["added", "removed", "changed", "items"])
    before = serializers.JSONField(allow_null=True)
    after = serializers.JSONField(allow_null=True)


class DiffSerializer(serializers.Serializer[Any]):
    """What changed between two checkpoints."""

    before = serializers.IntegerField()
    after = serializers.IntegerField()
    changes = ChangeSerializer(many=True)


class StandingSerializer(serializers.Serializer[Any]):
    """An effect that going back leaves standing."""

    key = serializers.CharField()
    name = serializers.CharField()
    effect = serializers.CharField()
    super_step = serializers.IntegerField()
    stands = serializers.ChoiceField(["done", "unknown"])
    compensation = serializers.ChoiceField([state.value for state in Compensation])
    request = serializers.JSONField()


class StandingListSerializer(serializers.Serializer[Any]):
    """What cannot be undone."""

    results = StandingSerializer(many=True)


class TravelledSerializer(serializers.Serializer[Any]):
    """The run that goes on, and what stays done."""

    run = RunDetailSerializer()
    irreversible = StandingSerializer(many=True)


class RunState(ApiView):
    """A run as it was."""

    @extend_schema(
        operation_id="runs_state",
        summary="Get a run's whole state at a checkpoint",
        parameters=[StateQuery],
        responses=StateSerializer,
    )
    def get(self, request: Request, run_id: UUID) -> Response:
        """Get a run's whole state at a checkpoint."""
        asked = query_of(request, StateQuery)
        with self.scope():
            found = queries.seen_by(self.caller.actor, queries.state(run_id, asked["at"]))
            return Response(StateSerializer(found).data)


class RunDiff(ApiView):
    """Two moments of a run, compared."""

    @extend_schema(
        operation_id="runs_diff",
        summary="Compare two checkpoints of a run",
        parameters=[DiffQuery],
        responses=DiffSerializer,
    )
    def get(self, request: Request, run_id: UUID) -> Response:
        """Compare two checkpoints of a run."""
        asked = query_of(request, DiffQuery)
        with self.scope():
            found = queries.diff(run_id, asked["from"], asked["to"])
            return Response(DiffSerializer(queries.seen_by(self.caller.actor, found)).data)


class RunIrreversible(ApiView):
    """What going back would leave standing."""

    @extend_schema(
        operation_id="runs_irreversible",
        summary="List what a run did to the world since a checkpoint",
        parameters=[SinceQuery],
        responses=StandingListSerializer,
    )
    def get(self, request: Request, run_id: UUID) -> Response:
        """List what a run did to the world since a checkpoint: it cannot be undone."""
        asked = query_of(request, SinceQuery)
        with self.scope():
            rows = queries.standing(run_id, asked["since"])
            found = queries.all_seen_by(self.caller.actor, rows)
            return Response({"results": StandingSerializer(found, many=True).data})


class RunRewind(ApiView):
    """Going back."""

    @extend_schema(
        operation_id="runs_rewind",
        summary="Rewind a run to one of its checkpoints",
        parameters=[IDEMPOTENCY_KEY],
        request=RewindRequest,
        responses={202: TravelledSerializer},
    )
    def post(self, request: Request, run_id: UUID) -> Response:
        """Rewind a run that is queued or set aside to one of its checkpoints."""
        actor = self.caller.require(Role.OPERATOR, Role.ADMIN)
        asked = body_of(request, RewindRequest)
        now = timezone.now()
        command = Rewind(
            run_id=run_id,
            super_step=asked["super_step"],
            reason=asked["reason"],
            accepting=asked["accept_irreversible"],
        )

        def act() -> Answer:
            return Answer(202, _travelled(run_id, rewind_run(command, by=actor)))

        return answer_once(request, "runs.rewind", act, now=now).response()


class RunFork(ApiView):
    """Going aside."""

    @extend_schema(
        operation_id="runs_fork",
        summary="Start a run from a checkpoint of another",
        parameters=[IDEMPOTENCY_KEY],
        request=ForkRequest,
        responses={202: TravelledSerializer},
    )
    def post(self, request: Request, run_id: UUID) -> Response:
        """Start a run from a checkpoint of another, which may have ended and is not touched."""
        actor = self.caller.require(Role.OPERATOR, Role.ADMIN)
        asked = body_of(request, ForkRequest)
        now = timezone.now()
        limits = None if asked["budget"] is None else Limits(**asked["budget"])
        command = Fork(**{**asked, "budget": limits}, run_id=run_id, by=actor)

        def act() -> Answer:
            forked = fork_run(command, now=now)
            stand = queries.standing(run_id, command.super_step)
            return Answer(202, _travelled(forked, stand), {"Location": f"/api/v1/runs/{forked}"})

        return answer_once(request, "runs.fork", act, now=now).response()


def _travelled(run_id: UUID, standing: list[queries.StandingView]) -> dict[str, Any]:
    return {
        "run": dict(RunDetailSerializer(queries.run(run_id)).data),
        "irreversible": [dict(row) for row in StandingSerializer(standing, many=True).data],
    }
