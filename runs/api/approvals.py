"""Approvals over HTTP. Deciding resumes runs, hence here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from policy import queries as policy_queries
from policy.api.fields import (
    ApprovalDetailSerializer,
    ApprovalSerializer,
    ApproveManyRequest,
    ClaimRequest,
    CommentRequest,
    DecideRequest,
    DecisionSerializer,
    EmptyRequest,
    ManyDecidedSerializer,
    SimilarSerializer,
)
from policy.api.headers import IDEMPOTENCY_KEY, IF_MATCH
from policy.api.idempotency import Answer, answer_once
from policy.api.pages import page_body, page_of, position_of, whole_body
from policy.api.views import ApiView, StrictSerializer, body_of, etag_of, matched_version, query_of
from policy.core.actor import Actor
from policy.errors import InvalidDecision
from policy.models import Role
from policy.queries import ApprovalView
from runs import queries
from runs.api.fields import ApprovalQuery
from runs.operations import review
from runs.operations.approve_many import Shown, approve_many
from runs.operations.ask_agent import ask_agent
from runs.operations.correct_state import Reviewable, reviewable
from runs.operations.decide import Decide, decide_approval

Act = Callable[[Actor, Mapping[str, Any], datetime], object]


class ApprovalList(ApiView):
    """The approvals of the tenant."""

    @extend_schema(
        operation_id="approvals_list",
        summary="List approvals, newest first",
        parameters=[ApprovalQuery],
        responses=page_of("Approval", ApprovalSerializer),
    )
    def get(self, request: Request) -> Response:
        """List approvals, newest first."""
        asked = query_of(request, ApprovalQuery)
        with self.scope():
            page = policy_queries.approvals(
                state=asked.get("state", ""),
                run_id=asked.get("run"),
                position=position_of(asked.get("cursor")),
                limit=asked["limit"],
            )
            if not self.caller.actor.sees_content:
                page = replace(page, items=tuple(map(policy_queries.masked_approval, page.items)))
            return Response(page_body(page, ApprovalSerializer))


class ApproveMany(ApiView):
    """Approving several approvals of one kind."""

    @extend_schema(
        operation_id="approvals_approve_many",
        summary="Approve up to 20 of one tool, agent and rule; each is its own decision",
        parameters=[IDEMPOTENCY_KEY],
        request=ApproveManyRequest,
        responses={200: ManyDecidedSerializer},
    )
    def post(self, request: Request) -> Response:
        """Approve each that is still as shown, and say what became of each."""
        actor = self.caller.require(Role.REVIEWER, Role.ADMIN)
        asked, now = body_of(request, ApproveManyRequest), timezone.now()
        shown = [
            Shown(approval_id=one["id"], digest=one["digest"], version=one["version"])
            for one in asked["approvals"]
        ]

        def act() -> Answer:
            done = approve_many(shown, by=actor, now=now, reason=asked["reason"])
            return Answer(200, dict(ManyDecidedSerializer({"results": done}).data))

        return answer_once(request, "approvals.approve_many", act, now=now).response()


class ApprovalDetail(ApiView):
    """One approval."""

    @extend_schema(
        operation_id="approvals_get",
        summary="Get an approval and what was done to it; its ETag goes into If-Match",
        responses=ApprovalDetailSerializer,
    )
    def get(self, request: Request, approval_id: UUID) -> Response:  # noqa: ARG002
        """Get an approval; its ETag goes into If-Match when deciding."""
        with self.scope():
            return _detail(approval_id, self.caller.actor, timezone.now()).response()


class ApprovalAct(ApiView):
    """Something that is done to an approval."""

    def acted(
        self, request: Request, approval_id: UUID, form: type[StrictSerializer], act: Act
    ) -> Response:
        """Act once per key, and answer with the approval as it stands then."""
        actor = self.caller.require(Role.REVIEWER, Role.ADMIN)
        asked, now = body_of(request, form), timezone.now()

        def acting() -> Answer:
            act(actor, asked, now)
            return _detail(approval_id, actor, now)

        route = f"approvals.{request.path.rsplit('/', 1)[-1]}"
        return answer_once(request, route, acting, now=now).response()


class ApprovalDecide(ApprovalAct):
    """Deciding an approval."""

    @extend_schema(
        operation_id="approvals_decide",
        summary="Decide an approval, once; or edit, defer or hand it on",
        parameters=[IDEMPOTENCY_KEY, IF_MATCH],
        request=DecideRequest,
        responses={200: ApprovalDetailSerializer},
    )
    def post(self, request: Request, approval_id: UUID) -> Response:
        """Decide an approval, once; or edit, defer or hand it on."""
        self.caller.require(Role.REVIEWER, Role.ADMIN)
        version = matched_version(request)

        def act(actor: Actor, asked: Mapping[str, Any], now: datetime) -> None:
            decide(approval_id, version, asked, by=actor, now=now)

        return self.acted(request, approval_id, DecideRequest, act)


class ApprovalClaim(ApprovalAct):
    """Claiming an approval."""

    @extend_schema(
        operation_id="approvals_claim",
        summary="Keep an approval for oneself for a while",
        parameters=[IDEMPOTENCY_KEY],
        request=ClaimRequest,
        responses={200: ApprovalDetailSerializer},
    )
    def post(self, request: Request, approval_id: UUID) -> Response:
        """Keep an approval for oneself for a while."""

        def act(actor: Actor, asked: Mapping[str, Any], now: datetime) -> None:
            life = timedelta(seconds=asked["seconds"])
            review.claim(approval_id, by=actor, now=now, life=life)

        return self.acted(request, approval_id, ClaimRequest, act)


class ApprovalRelease(ApprovalAct):
    """Giving a claim back."""

    @extend_schema(
        operation_id="approvals_release",
        summary="Give a claim back; an admin may give back anybody's",
        parameters=[IDEMPOTENCY_KEY],
        request=EmptyRequest,
        responses={200: ApprovalDetailSerializer},
    )
    def post(self, request: Request, approval_id: UUID) -> Response:
        """Give a claim back; an admin may give back anybody's."""

        def act(actor: Actor, _: Mapping[str, Any], now: datetime) -> None:
            review.release(approval_id, by=actor, now=now)

        return self.acted(request, approval_id, EmptyRequest, act)


class ApprovalComments(ApprovalAct):
    """What was said beside an approval."""

    @extend_schema(
        operation_id="approvals_comments",
        summary="List what was said beside an approval, oldest first",
        responses=page_of("Comment", DecisionSerializer),
    )
    def get(self, request: Request, approval_id: UUID) -> Response:  # noqa: ARG002
        """List what was said beside an approval, oldest first."""
        with self.scope():
            return Response(_done(approval_id, self.caller.actor, "comment"))

    @extend_schema(
        operation_id="approvals_comment",
        summary="Say something beside an approval",
        parameters=[IDEMPOTENCY_KEY],
        request=CommentRequest,
        responses={200: ApprovalDetailSerializer},
    )
    def post(self, request: Request, approval_id: UUID) -> Response:
        """Say something beside an approval."""

        def act(actor: Actor, asked: Mapping[str, Any], now: datetime) -> None:
            review.comment(approval_id, text=asked["text"], by=actor, now=now)

        return self.acted(request, approval_id, CommentRequest, act)


class ApprovalDecisions(ApiView):
    """What was done to an approval."""

    @extend_schema(
        operation_id="approvals_decisions",
        summary="List everything that was done to an approval, oldest first",
        responses=page_of("Decision", DecisionSerializer),
    )
    def get(self, request: Request, approval_id: UUID) -> Response:  # noqa: ARG002
        """List everything that was done to an approval, oldest first."""
        with self.scope():
            return Response(_done(approval_id, self.caller.actor))


class ApprovalSimilar(ApiView):
    """What was decided of such calls before."""

    @extend_schema(
        operation_id="approvals_similar",
        summary="What people decided of such calls before",
        responses=SimilarSerializer,
    )
    def get(self, request: Request, approval_id: UUID) -> Response:  # noqa: ARG002
        """What people decided of such calls before."""
        with self.scope():
            found = queries.similar(queries.known_approval(approval_id))
            if not self.caller.actor.sees_content:
                found = queries.masked_similar(found)
            return Response(SimilarSerializer(found).data)


def decide(
    approval_id: UUID, version: int, asked: Mapping[str, Any], *, by: Actor, now: datetime
) -> None:
    """Carry out what a request or a form says of an approval; raises as the operations do."""
    decision, digest, reason = asked["decision"], asked["digest"], asked["reason"]
    if decision not in {"defer", "escalate"}:
        command = Decide(
            approval_id=approval_id,
            decision=decision,
            digest=digest,
            version=version,
            reason=reason,
            result=asked["result"],
            arguments=asked.get("arguments"),
            state=asked.get("state", {}),
        )
        decide_approval(command, by=by, now=now)
        return
    review.seen(approval_id, digest, version)
    if decision == "defer":
        if "until" not in asked:
            raise InvalidDecision("say until when: `until`")
        review.defer(approval_id, until=asked["until"], by=by, now=now, reason=reason)
        return
    if "agent" in asked:
        if "groups" in asked or "owners" in asked:
            raise InvalidDecision("hand it to people, or ask an agent; one at a time")
        ask_agent(approval_id, asked["agent"], by=by, now=now, reason=reason)
        return
    command_ = review.Escalate(
        approval_id=approval_id,
        groups=asked.get("groups", ()),
        owners=asked.get("owners", ()),
        reason=reason,
    )
    review.escalate(command_, by=by, now=now)


def _detail(approval_id: UUID, actor: Actor, now: datetime) -> Answer:
    found = queries.reviewed(approval_id, actor, now=now)
    if not actor.sees_content:
        found = policy_queries.masked_approval(found)
    shown = {f.name: getattr(found, f.name) for f in fields(found)}
    body = {**shown, "summary": found.summary, "asked": found.asked}
    body["origins"] = queries.origins_of(found)
    body["cost"] = queries.cost_of(found)
    body["reviewable"] = _reviewable(found, actor)
    return Answer(200, dict(ApprovalDetailSerializer(body).data), {"ETag": etag_of(found.version)})


def _reviewable(found: ApprovalView, actor: Actor) -> list[Reviewable]:
    if not found.is_open:
        return []
    channels = [] if found.kind == "answer" else reviewable(found.run_id)
    return channels if actor.sees_content else [one.masked() for one in channels]


def _done(approval_id: UUID, actor: Actor, action: str = "") -> dict[str, Any]:
    queries.known_approval(approval_id)
    found = policy_queries.decisions_of(approval_id)
    results = [one for one in found if action in ("", one.action)]
    if not actor.sees_content:
        results = list(map(policy_queries.masked_decision, results))
    return whole_body(results, DecisionSerializer)
