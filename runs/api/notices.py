"""Subscriptions to what happens to approvals, and the notices that went out, over HTTP."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from policy.api.headers import IDEMPOTENCY_KEY, IF_MATCH
from policy.api.idempotency import Answer, answer_once
from policy.api.pages import PageQuery, page_body, page_of, position_of, whole_body
from policy.api.views import ApiView, StrictSerializer, body_of, etag_of, matched_version, query_of
from policy.core.notices import CONTENTS, EVENTS
from policy.models import Channel, NoticeState, Role
from policy.operations.subscriptions import (
    SetSubscription,
    add_subscription,
    change_subscription,
    remove_subscription,
    renew_secret,
    resend,
)
from policy.queries import notices as queries


class SubscriptionRequest(StrictSerializer):
    """A subscription as it is to be."""

    name = serializers.CharField(max_length=100)
    channel = serializers.ChoiceField(Channel.values)
    url = serializers.CharField(
        max_length=500, required=False, help_text="Of a webhook: https, and public"
    )
    addresses = serializers.ListField(
        child=serializers.CharField(max_length=254), required=False, help_text="Of e-mail"
    )
    events = serializers.ListField(
        child=serializers.ChoiceField(EVENTS), required=False, help_text="All, if left out"
    )
    include = serializers.ListField(
        child=serializers.ChoiceField(CONTENTS),
        required=False,
        help_text="What else a notice may hold: arguments of the call, reasons that people gave",
    )
    enabled = serializers.BooleanField(required=False, default=True)


class SubscriptionSerializer(serializers.Serializer[Any]):
    """Whom to tell of which events."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    channel = serializers.ChoiceField(Channel.values)
    url = serializers.CharField()
    addresses = serializers.ListField(child=serializers.CharField())
    events = serializers.ListField(child=serializers.CharField())
    include = serializers.ListField(child=serializers.CharField())
    enabled = serializers.BooleanField()
    stopped_because = serializers.CharField(help_text="Why it was switched off by itself")
    old_secret_until = serializers.DateTimeField(
        allow_null=True, help_text="Until when the secret before signs, too"
    )
    created_at = serializers.DateTimeField()
    created_by = serializers.CharField()


class NewSubscriptionSerializer(SubscriptionSerializer):
    """A subscription and, this once, what its webhooks are signed with."""

    secret = serializers.CharField(
        required=False, help_text="Shown once, and not in a repeated answer; store it"
    )


class NoticeQuery(PageQuery):
    """Which notices."""

    state = serializers.ChoiceField(NoticeState.values, required=False)
    subscription = serializers.UUIDField(required=False)
    approval = serializers.UUIDField(required=False)
    budget = serializers.UUIDField(required=False)


class NoticeSerializer(serializers.Serializer[Any]):
    """One message to one subscriber, and how far it came."""

    id = serializers.UUIDField()
    message_id = serializers.CharField(help_text="The same at every attempt")
    subscription_id = serializers.UUIDField()
    event = serializers.CharField()
    approval_id = serializers.UUIDField(allow_null=True, help_text="What it tells of, or")
    budget_id = serializers.UUIDField(allow_null=True, help_text="a budget")
    run_id = serializers.UUIDField(allow_null=True)
    body = serializers.JSONField()
    state = serializers.ChoiceField(NoticeState.values)
    attempts = serializers.IntegerField()
    next_at = serializers.DateTimeField(help_text="When it is tried next, if it is waiting")
    status = serializers.IntegerField(allow_null=True, help_text="The last HTTP status")
    error = serializers.CharField(help_text="Why the last attempt failed")
    created_at = serializers.DateTimeField()
    sent_at = serializers.DateTimeField(allow_null=True)


class SubscriptionList(ApiView):
    """The subscriptions of the tenant."""

    @extend_schema(
        operation_id="subscriptions_list",
        summary="List subscriptions to what happens to approvals and budgets",
        responses=page_of("Subscription", SubscriptionSerializer),
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        """List subscriptions by name."""
        self.caller.require(Role.OPERATOR, Role.ADMIN)
        with self.scope():
            return Response(whole_body(queries.subscriptions(), SubscriptionSerializer))

    @extend_schema(
        operation_id="subscriptions_add",
        summary="Subscribe a webhook or e-mail addresses; a webhook's secret is shown once",
        parameters=[IDEMPOTENCY_KEY],
        request=SubscriptionRequest,
        responses={201: NewSubscriptionSerializer},
    )
    def post(self, request: Request) -> Response:
        """Subscribe; the secret is given once, and stored in no answer."""
        actor = self.caller.require(Role.ADMIN)
        asked = body_of(request, SubscriptionRequest)
        shown_once: dict[str, str] = {}

        def act() -> Answer:
            made = add_subscription(SetSubscription(**asked), by=actor)
            if made.secret:
                shown_once["secret"] = made.secret
            return _answer(made.id).created(f"/api/v1/subscriptions/{made.id}")

        return _once(answer_once(request, "subscriptions.add", act, now=timezone.now()), shown_once)


class SubscriptionDetail(ApiView):
    """One subscription."""

    @extend_schema(
        operation_id="subscriptions_get",
        summary="Get a subscription",
        responses=SubscriptionSerializer,
    )
    def get(self, request: Request, subscription_id: UUID) -> Response:  # noqa: ARG002
        """Get a subscription; its ETag goes into If-Match when changing it."""
        self.caller.require(Role.OPERATOR, Role.ADMIN)
        with self.scope():
            return _answer(subscription_id).response()

    @extend_schema(
        operation_id="subscriptions_change",
        summary="Change a subscription; it keeps its secret",
        parameters=[IF_MATCH],
        request=SubscriptionRequest,
        responses=SubscriptionSerializer,
    )
    def put(self, request: Request, subscription_id: UUID) -> Response:
        """Change a subscription that is still what the caller read."""
        actor, version = self.caller.require(Role.ADMIN), matched_version(request)
        wanted = SetSubscription(**body_of(request, SubscriptionRequest))
        with self.scope():
            change_subscription(subscription_id, wanted, version=version, by=actor)
            return _answer(subscription_id).response()

    @extend_schema(
        operation_id="subscriptions_remove",
        summary="Remove a subscription, with its notices",
        parameters=[IF_MATCH],
        responses={204: None},
    )
    def delete(self, request: Request, subscription_id: UUID) -> Response:
        """Remove a subscription that is still what the caller read."""
        actor, version = self.caller.require(Role.ADMIN), matched_version(request)
        with self.scope():
            remove_subscription(subscription_id, version=version, by=actor)
        return Response(status=204)


class SubscriptionSecret(ApiView):
    """A new secret for a webhook."""

    @extend_schema(
        operation_id="subscriptions_secret",
        summary="Make a new secret, shown once; the one before signs, too, for a day",
        parameters=[IDEMPOTENCY_KEY, IF_MATCH],
        request=None,
        responses={200: NewSubscriptionSerializer},
    )
    def post(self, request: Request, subscription_id: UUID) -> Response:
        """Make a new secret; it is given once, and stored in no answer."""
        actor, version = self.caller.require(Role.ADMIN), matched_version(request)
        shown_once: dict[str, str] = {}

        def act() -> Answer:
            shown_once["secret"] = renew_secret(subscription_id, version=version, by=actor)
            return _answer(subscription_id)

        answer = answer_once(request, "subscriptions.secret", act, now=timezone.now())
        return _once(answer, shown_once)


class NoticeList(ApiView):
    """The notices of the tenant."""

    @extend_schema(
        operation_id="notices_list",
        summary="List notices, newest first; those that are through are kept for thirty days",
        parameters=[NoticeQuery],
        responses=page_of("Notice", NoticeSerializer),
    )
    def get(self, request: Request) -> Response:
        """List notices, newest first."""
        self.caller.require(Role.OPERATOR, Role.ADMIN)
        asked = query_of(request, NoticeQuery)
        with self.scope():
            page = queries.notices(
                state=asked.get("state", ""),
                subscription_id=asked.get("subscription"),
                approval_id=asked.get("approval"),
                position=position_of(asked.get("cursor")),
                limit=asked["limit"],
            )
            return Response(page_body(page, NoticeSerializer))


class NoticeDetail(ApiView):
    """One notice."""

    @extend_schema(operation_id="notices_get", summary="Get a notice", responses=NoticeSerializer)
    def get(self, request: Request, notice_id: UUID) -> Response:  # noqa: ARG002
        """Get a notice."""
        self.caller.require(Role.OPERATOR, Role.ADMIN)
        with self.scope():
            return Response(NoticeSerializer(queries.known_notice(notice_id)).data)


class NoticeResend(ApiView):
    """Sending a notice again."""

    @extend_schema(
        operation_id="notices_resend",
        summary="Send a notice again that was sent or is dead, under the same message id",
        parameters=[IDEMPOTENCY_KEY],
        request=None,
        responses={202: NoticeSerializer},
    )
    def post(self, request: Request, notice_id: UUID) -> Response:
        """Send a notice again."""
        actor, now = self.caller.require(Role.OPERATOR, Role.ADMIN), timezone.now()

        def act() -> Answer:
            resend(notice_id, by=actor, now=now)
            return Answer(202, dict(NoticeSerializer(queries.known_notice(notice_id)).data))

        return answer_once(request, "notices.resend", act, now=now).response()


def _answer(subscription_id: UUID) -> Answer:
    found = queries.known_subscription(subscription_id)
    body = dict(SubscriptionSerializer(found).data)
    return Answer(200, body, {"ETag": etag_of(found.version)})


def _once(answer: Answer, shown: dict[str, str]) -> Response:
    """Give an answer with what is shown this once; the answer that is stored has none of it."""
    response = answer.response()
    response.data = {**(response.data or {}), **shown}
    response["Cache-Control"] = "no-store"
    return response
