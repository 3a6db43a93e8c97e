"""Compensating a run over HTTP: what can be undone, and the run that undoes it."""

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
from runs.api.fields import RunDetailSerializer
from runs.api.travel import HIGHEST, SinceQuery
from runs.core.recorded.compensation import Compensation
from runs.operations.compensate import Compensate, compensate_run


class CompensateRequest(StrictSerializer):
    """What to compensate: everything that can be, since a checkpoint, or some effects by key."""

    since = serializers.IntegerField(
        min_value=0, max_value=HIGHEST, required=False, default=0, help_text="A checkpoint"
    )
    effects = serializers.ListField(
        child=serializers.CharField(max_length=300),
        required=False,
        allow_null=True,
        default=None,
        allow_empty=False,
        max_length=1000,
    )
    reason = serializers.CharField(required=False, default="", allow_blank=True, max_length=500)
    budget = LimitsSerializer(required=False, allow_null=True, default=None)


class CompensationSerializer(serializers.Serializer[Any]):
    """An effect, and what compensates it: `tool` with `arguments`; or `why` nothing can."""

    key = serializers.CharField()
    name = serializers.CharField()
    super_step = serializers.IntegerField()
    request = serializers.JSONField()
    state = serializers.ChoiceField([state.value for state in Compensation])
    tool = serializers.CharField(allow_blank=True)
    arguments = serializers.DictField()
    why = serializers.CharField(allow_blank=True)
    run_id = serializers.CharField(
        allow_blank=True, help_text="The run that compensates it, where one does"
    )


class CompensationListSerializer(serializers.Serializer[Any]):
    """Every effect that changed the world, the newest first."""

    results = CompensationSerializer(many=True)


class CompensatedSerializer(serializers.Serializer[Any]):
    """The run that compensates, and what it takes on, in its order."""

    run = RunDetailSerializer()
    compensations = CompensationSerializer(many=True)


class RunCompensations(ApiView):
    """What of a run can be compensated."""

    @extend_schema(
        operation_id="runs_compensations",
        summary="List which effects of a run can be compensated, which cannot and why",
        parameters=[SinceQuery],
        responses=CompensationListSerializer,
    )
    def get(self, request: Request, run_id: UUID) -> Response:
        """List which effects of a run can be compensated, the newest first; changes nothing."""
        asked = query_of(request, SinceQuery)
        with self.scope():
            rows = queries.compensations(run_id, asked["since"])
            found = queries.all_seen_by(self.caller.actor, rows)
            return Response({"results": CompensationSerializer(found, many=True).data})


class RunCompensate(ApiView):
    """Undoing."""

    @extend_schema(
        operation_id="runs_compensate",
        summary="Compensate what a run did, the newest effect first",
        parameters=[IDEMPOTENCY_KEY],
        request=CompensateRequest,
        responses={202: CompensatedSerializer},
    )
    def post(self, request: Request, run_id: UUID) -> Response:
        """Start a run that calls the compensations of a run that ended, is paused or waits."""
        actor = self.caller.require(Role.OPERATOR, Role.ADMIN)
        asked = body_of(request, CompensateRequest)
        now = timezone.now()
        limits = None if asked["budget"] is None else Limits(**asked["budget"])
        command = Compensate(**{**asked, "budget": limits}, run_id=run_id)

        def act() -> Answer:
            started, chosen = compensate_run(command, by=actor, now=now)
            body = {
                "run": dict(RunDetailSerializer(queries.run(started)).data),
                "compensations": [
                    dict(row) for row in CompensationSerializer(chosen, many=True).data
                ],
            }
            return Answer(202, body, {"Location": f"/api/v1/runs/{started}"})

        return answer_once(request, "runs.compensate", act, now=now).response()
