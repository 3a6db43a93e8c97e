"""Rate limits and breakers over HTTP. A breaker that is let go wakes runs, hence here."""

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
from policy.api.pages import page_of, whole_body
from policy.api.views import ApiView, StrictSerializer, body_of, etag_of, matched_version
from policy.core.limits import DIMENSIONS, LimitUnit
from policy.errors import UnknownLimit
from policy.models import RateLimit, Role
from policy.operations.limits import SetLimit, add_limit, change_limit, remove_limit
from runs.operations.hold_breaker import hold_breaker
from runs.queries import breakers as queries


class LimitRequest(StrictSerializer):
    """A limit as it is to be."""

    name = serializers.CharField(max_length=100)
    unit = serializers.ChoiceField([u.value for u in LimitUnit])
    amount = serializers.IntegerField(min_value=1, max_value=10**12)
    seconds = serializers.FloatField(min_value=0.001, required=False, default=60.0)
    burst = serializers.IntegerField(
        min_value=1, max_value=10**12, required=False, allow_null=True, help_text="`amount` if left"
    )
    per = serializers.ListField(
        child=serializers.ChoiceField(DIMENSIONS), required=False, help_text="Counted apart by"
    )
    where = serializers.DictField(
        child=serializers.CharField(max_length=200),
        required=False,
        help_text="Patterns by dimension, like {'tool': 'crm.*'}",
    )
    enabled = serializers.BooleanField(required=False, default=True)


class LimitSerializer(serializers.Serializer[Any]):
    """A rate limit."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    unit = serializers.CharField()
    amount = serializers.IntegerField()
    seconds = serializers.FloatField()
    burst = serializers.IntegerField(allow_null=True)
    per = serializers.ListField(child=serializers.CharField())
    where = serializers.DictField(child=serializers.CharField())
    enabled = serializers.BooleanField()


class HoldRequest(StrictSerializer):
    """How a breaker is to be held."""

    position = serializers.ChoiceField(["open", "closed", "auto"])
    reason = serializers.CharField(max_length=500)


class BreakerSerializer(serializers.Serializer[Any]):
    """A breaker: how it stands, and whether somebody holds it."""

    dependency = serializers.CharField()
    known_as = serializers.CharField(help_text="What it is, in words")
    state = serializers.ChoiceField(["closed", "open", "half_open"])
    failures = serializers.IntegerField(help_text="In a row")
    retry_after = serializers.FloatField(allow_null=True, help_text="Seconds until the next probe")
    held = serializers.ChoiceField(["", "open", "closed"], help_text="Empty: decides for itself")
    reason = serializers.CharField()
    held_by = serializers.CharField()
    held_since = serializers.DateTimeField(allow_null=True)


class LimitList(ApiView):
    """The rate limits of the tenant."""

    @extend_schema(
        operation_id="limits_list",
        summary="List rate limits",
        responses=page_of("Limit", LimitSerializer),
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        """List rate limits by name."""
        with self.scope():
            return Response(whole_body(RateLimit.objects.order_by("name"), LimitSerializer))

    @extend_schema(
        operation_id="limits_add",
        summary="Set a new rate limit",
        parameters=[IDEMPOTENCY_KEY],
        request=LimitRequest,
        responses={201: LimitSerializer},
    )
    def post(self, request: Request) -> Response:
        """Set a new rate limit."""
        actor = self.caller.require(Role.OPERATOR, Role.ADMIN)
        asked = body_of(request, LimitRequest)

        def act() -> Answer:
            limit_id = add_limit(SetLimit(**asked), by=actor)
            return _answer(limit_id).created(f"/api/v1/limits/{limit_id}")

        return answer_once(request, "limits.add", act, now=timezone.now()).response()


class LimitDetail(ApiView):
    """One rate limit."""

    @extend_schema(operation_id="limits_get", summary="Get a rate limit", responses=LimitSerializer)
    def get(self, request: Request, limit_id: UUID) -> Response:  # noqa: ARG002
        """Get a rate limit; its ETag goes into If-Match when changing it."""
        with self.scope():
            return _answer(limit_id).response()

    @extend_schema(
        operation_id="limits_change",
        summary="Change a rate limit; workers follow within two seconds",
        parameters=[IF_MATCH],
        request=LimitRequest,
        responses=LimitSerializer,
    )
    def put(self, request: Request, limit_id: UUID) -> Response:
        """Change a rate limit that is still what the caller read."""
        actor = self.caller.require(Role.OPERATOR, Role.ADMIN)
        version = matched_version(request)
        asked = body_of(request, LimitRequest)
        with self.scope():
            change_limit(limit_id, SetLimit(**asked), version=version, by=actor)
            return _answer(limit_id).response()

    @extend_schema(
        operation_id="limits_remove",
        summary="Remove a rate limit",
        parameters=[IF_MATCH],
        responses={204: None},
    )
    def delete(self, request: Request, limit_id: UUID) -> Response:
        """Remove a rate limit that is still what the caller read."""
        actor = self.caller.require(Role.OPERATOR, Role.ADMIN)
        version = matched_version(request)
        with self.scope():
            remove_limit(limit_id, version=version, by=actor)
        return Response(status=204)


class BreakerList(ApiView):
    """The breakers of the tenant's dependencies."""

    @extend_schema(
        operation_id="breakers_list",
        summary="List breakers, those that are not well first",
        responses=page_of("Breaker", BreakerSerializer),
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        """List breakers."""
        with self.scope():
            return Response(whole_body(queries.breakers(), BreakerSerializer))


class BreakerDetail(ApiView):
    """One breaker."""

    @extend_schema(
        operation_id="breakers_get", summary="Get a breaker", responses=BreakerSerializer
    )
    def get(self, request: Request, kind: str, name: str) -> Response:  # noqa: ARG002
        """Get a breaker."""
        with self.scope():
            return Response(BreakerSerializer(queries.known_breaker(f"{kind}/{name}")).data)


class BreakerHold(ApiView):
    """Holding a breaker."""

    @extend_schema(
        operation_id="breakers_hold",
        summary="Hold a breaker open or closed, or let it decide for itself",
        parameters=[IDEMPOTENCY_KEY],
        request=HoldRequest,
        responses={200: BreakerSerializer},
    )
    def post(self, request: Request, kind: str, name: str) -> Response:
        """Hold a breaker open or closed, or let it decide for itself."""
        actor = self.caller.require(Role.OPERATOR, Role.ADMIN)
        asked = body_of(request, HoldRequest)
        now = timezone.now()

        def act() -> Answer:
            found = queries.known_breaker(f"{kind}/{name}")
            hold_breaker(
                found.dependency, asked["position"], reason=asked["reason"], by=actor, now=now
            )
            held = queries.known_breaker(found.dependency)
            return Answer(200, dict(BreakerSerializer(held).data))

        return answer_once(request, "breakers.hold", act, now=now).response()


def _answer(limit_id: UUID) -> Answer:
    row = RateLimit.objects.filter(pk=limit_id).first()
    if row is None:
        raise UnknownLimit(f"there is no limit {limit_id}")
    return Answer(200, dict(LimitSerializer(row).data), {"ETag": etag_of(row.version)})
