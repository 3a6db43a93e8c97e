"""What a run did, over HTTP: its steps, events, effects and checkpoints."""

from __future__ import annotations

from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from policy.api.pages import AfterQuery, numbered, numbered_body
from policy.api.views import ApiView, query_of
from runs import queries
from runs.api.fields import (
    CheckpointSerializer,
    EffectQuery,
    EffectSerializer,
    EventSerializer,
    StepSerializer,
)


class RunSteps(ApiView):
    """The super-steps of a run."""

    @extend_schema(
        operation_id="runs_steps",
        summary="List the super-steps of a run, in order",
        parameters=[AfterQuery],
        responses=numbered("Step", StepSerializer),
    )
    def get(self, request: Request, run_id: UUID) -> Response:
        """List the super-steps of a run, in order."""
        asked = query_of(request, AfterQuery)
        with self.scope():
            found = queries.all_seen_by(self.caller.actor, queries.steps(run_id, **asked))
            mark = str(found[-1].super_step) if found else ""
            return Response(numbered_body(found, StepSerializer, asked["limit"], mark))


class RunEvents(ApiView):
    """The events of a run."""

    @extend_schema(
        operation_id="runs_events",
        summary="List the events of a run after a number of its sequence",
        parameters=[AfterQuery],
        responses=numbered("Event", EventSerializer),
    )
    def get(self, request: Request, run_id: UUID) -> Response:
        """List the events of a run after a number of its sequence."""
        asked = query_of(request, AfterQuery)
        with self.scope():
            found = queries.all_seen_by(self.caller.actor, queries.events(run_id, **asked))
            mark = str(found[-1].seq) if found else ""
            return Response(numbered_body(found, EventSerializer, asked["limit"], mark))


class RunEffects(ApiView):
    """The effect ledger of a run."""

    @extend_schema(
        operation_id="runs_effects",
        summary="List the effect ledger of a run, by place",
        parameters=[EffectQuery],
        responses=numbered("Effect", EffectSerializer),
    )
    def get(self, request: Request, run_id: UUID) -> Response:
        """List the effect ledger of a run, by place."""
        asked = query_of(request, EffectQuery)
        with self.scope():
            rows = queries.effects(run_id, after=asked.get("after"), limit=asked["limit"])
            found = queries.all_seen_by(self.caller.actor, rows)
            mark = found[-1].key.partition("/")[2] if found else ""
            return Response(numbered_body(found, EffectSerializer, asked["limit"], mark))


class RunCheckpoints(ApiView):
    """The checkpoints of a run."""

    @extend_schema(
        operation_id="runs_checkpoints",
        summary="List the checkpoints of a run, as they are stored",
        parameters=[AfterQuery],
        responses=numbered("Checkpoint", CheckpointSerializer),
    )
    def get(self, request: Request, run_id: UUID) -> Response:
        """List the checkpoints of a run, as they are stored."""
        asked = query_of(request, AfterQuery)
        with self.scope():
            found = queries.all_seen_by(self.caller.actor, queries.checkpoints(run_id, **asked))
            mark = str(found[-1].super_step) if found else ""
            return Response(numbered_body(found, CheckpointSerializer, asked["limit"], mark))
