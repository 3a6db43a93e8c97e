"""Runs over HTTP: start, list, get, cancel, resume."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import connection
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from policy.api.errors import InvalidFields
from policy.api.headers import IDEMPOTENCY_KEY
from policy.api.idempotency import Answer, answer_once
from policy.api.pages import page_body, page_of, position_of
from policy.api.views import ApiView, StrictSerializer, body_of, query_of
from policy.core.actor import Actor
from policy.core.json import JsonObject
from policy.core.money import Limits
from policy.models import Role
from runs import queries
from runs.api import parameters
from runs.api.fields import (
    ReasonRequest,
    RunDetailSerializer,
    RunQuery,
    RunSerializer,
    SignalRequest,
    SignalSerializer,
    StartRequest,
)
from runs.core.admission import Priority
from runs.operations.cancel import cancel_run
from runs.operations.resume import resume_run
from runs.operations.send_signal import SendSignal, send_signal
from runs.operations.start import StartRun, start_run

Asked = dict[str, Any]
Act = Callable[[Actor, Asked, datetime], JsonObject]

METADATA: Final = "metadata."
MOST_METADATA_FILTERS: Final = 5
LONGEST_WAIT: Final = 30.0
FIRST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 0.5
WAIT: Final = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,6})\"?(?=$|[,;\s])", re.ASCII)


class RunList(ApiView):
    """The runs of the tenant."""

    @extend_schema(
        operation_id="runs_list",
        summary="List runs, newest first",
        parameters=[RunQuery, parameters.METADATA],
        responses=page_of("Run", RunSerializer),
    )
    def get(self, request: Request) -> Response:
        """List runs, newest first."""
        asked = query_of(request, RunQuery, leave=METADATA)
        wanted = queries.RunFilter(
            states=asked.get("state", frozenset()),
            agent=asked.get("agent", ""),
            parent=asked.get("parent"),
            metadata=_metadata(request),
        )
        with self.scope():
            page = queries.runs(
                wanted, position=position_of(asked.get("cursor")), limit=asked["limit"]
            )
            return Response(page_body(page, RunSerializer))

    @extend_schema(
        operation_id="runs_start",
        summary="Start a run",
        parameters=[IDEMPOTENCY_KEY, parameters.PREFER],
        request=StartRequest,
        responses={202: RunDetailSerializer, 200: RunDetailSerializer},
    )
    def post(self, request: Request) -> Response:
        """Start a run. 202, or 200 if it came to rest while this request waited."""
        actor = self.caller.require(Role.OPERATOR, Role.ADMIN)
        asked = body_of(request, StartRequest)
        if asked["priority"] == Priority.HIGH:
            self.caller.require(Role.ADMIN)
        now = timezone.now()

        def act() -> Answer:
            limits = None if asked["budget"] is None else Limits(**asked["budget"])
            run_id = start_run(
                StartRun(
                    agent=asked["agent"],
                    version=asked["version"],
                    input=asked["input"],
                    budget=limits,
                    deadline=asked["deadline"],
                    thread=asked["thread"],
                    metadata=asked["metadata"],
                    priority=Priority(asked["priority"]),
                    by=actor,
                ),
                now=now,
            )
            return Answer(202, _run_body(run_id), {"Location": f"/api/v1/runs/{run_id}"})

        answer = answer_once(request, "runs.start", act, now=now)
        return self._waited(request, answer)

    def _waited(self, request: Request, answer: Answer) -> Response:
        seconds = _wait_of(request)
        if not seconds:
            return answer.response()
        run_id = UUID(answer.body["id"])
        if self._rests(run_id, seconds):
            with self.scope():
                done = Answer(200, _run_body(run_id), answer.headers, replayed=answer.replayed)
        else:
            done = answer
        response = done.response()
        response["Preference-Applied"] = f"wait={seconds:g}"
        return response

    def _rests(self, run_id: UUID, seconds: float) -> bool:
        """Look until the run rests, holding neither transaction nor connection between looks."""
        until, pause = time.monotonic() + seconds, FIRST_PAUSE
        while True:
            with self.scope():
                state = queries.state_of(run_id)
            if queries.comes_to_rest(state):
                return True
            left = until - time.monotonic()
            if left <= 0:
                return False
            if not connection.in_atomic_block:
                connection.close()
            time.sleep(min(pause, left))
            pause = min(pause * 1.5, LONGEST_PAUSE)


class RunDetail(ApiView):
    """One run."""

    @extend_schema(operation_id="runs_get", summary="Get a run", responses=RunDetailSerializer)
    def get(self, request: Request, run_id: UUID) -> Response:  # noqa: ARG002
        """Get a run; who may not read contents is told that they are there."""
        with self.scope():
            found = queries.seen_by(self.caller.actor, queries.run(run_id))
            return Response(RunDetailSerializer(found).data)


class RunAct(ApiView):
    """Something done to a run: whoever may, once for each Idempotency-Key."""

    def acted(
        self, request: Request, route: str, fields: type[StrictSerializer], act: Act
    ) -> Response:
        """Do it in one transaction with its answer, 202, or give the answer that was given."""
        actor = self.caller.require(Role.OPERATOR, Role.ADMIN)
        may_be_empty = fields is ReasonRequest and not request.data
        asked = {"reason": ""} if may_be_empty else body_of(request, fields)
        now = timezone.now()
        return answer_once(
            request, route, lambda: Answer(202, act(actor, asked, now)), now=now
        ).response()


class RunCancel(RunAct):
    """Cancelling a run."""

    @extend_schema(
        operation_id="runs_cancel",
        summary="Cancel a run",
        parameters=[IDEMPOTENCY_KEY],
        request=ReasonRequest,
        responses={202: RunDetailSerializer},
    )
    def post(self, request: Request, run_id: UUID) -> Response:
        """Cancel a run. A worker that is in the middle of a step stops at its next boundary."""

        def act(by: Actor, asked: Asked, now: datetime) -> JsonObject:
            cancel_run(run_id, by=by, reason=asked["reason"], now=now)
            return _run_body(run_id)

        return self.acted(request, "runs.cancel", ReasonRequest, act)


class RunResume(RunAct):
    """Letting a parked run go on."""

    @extend_schema(
        operation_id="runs_resume",
        summary="Let a parked run go on",
        parameters=[IDEMPOTENCY_KEY],
        request=ReasonRequest,
        responses={202: RunDetailSerializer},
    )
    def post(self, request: Request, run_id: UUID) -> Response:
        """Let a run go on that was parked as poison or for its version, after it was mended."""

        def act(by: Actor, asked: Asked, _now: datetime) -> JsonObject:
            resume_run(run_id, by=by, reason=asked["reason"])
            return _run_body(run_id)

        return self.acted(request, "runs.resume", ReasonRequest, act)


class RunSignals(RunAct):
    """Telling a run something by name."""

    @extend_schema(
        operation_id="runs_signal",
        summary="Send a signal to a run",
        parameters=[IDEMPOTENCY_KEY],
        request=SignalRequest,
        responses={202: SignalSerializer},
    )
    def post(self, request: Request, run_id: UUID) -> Response:
        """Send a signal. It is kept until a task of the run waits for one of its name."""

        def act(by: Actor, asked: Asked, now: datetime) -> JsonObject:
            return {"id": send_signal(SendSignal(run_id=run_id, **asked), by=by, now=now)}

        return self.acted(request, "runs.signal", SignalRequest, act)


def _run_body(run_id: UUID) -> dict[str, Any]:
    return dict(RunDetailSerializer(queries.run(run_id)).data)


def _metadata(request: Request) -> tuple[tuple[str, str], ...]:
    given = request.query_params
    pairs = tuple(
        (name.removeprefix(METADATA), text)
        for name in given
        if name.startswith(METADATA)
        for text in given.getlist(name)
    )
    if len(pairs) > MOST_METADATA_FILTERS:
        raise InvalidFields([("/query", f"at most {MOST_METADATA_FILTERS} metadata filters")])
    for name, text in pairs:
        if not name or "\x00" in name + text:
            raise InvalidFields([(f"/query/{METADATA}", "needs a name and a plain text")])
    return pairs


def _wait_of(request: Request) -> float:
    found = WAIT.search(request.headers.get("Prefer", ""))
    return min(float(found[1]), LONGEST_WAIT) if found else 0.0
