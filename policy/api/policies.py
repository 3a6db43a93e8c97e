"""Policy versions over HTTP: read, written as drafts, put in force."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import Http404
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from policy.api.headers import IDEMPOTENCY_KEY, IF_MATCH
from policy.api.idempotency import Answer, answer_once
from policy.api.pages import PageQuery, page_body, page_of, position_of
from policy.api.views import ApiView, StrictSerializer, body_of, etag_of, matched_version, query_of
from policy.models import PolicyState, PolicyVersion, Role
from policy.operations.policies import activate, create_version, edit_draft
from policy.versions import PolicyView, policy_version, policy_versions


class PolicySerializer(serializers.Serializer[Any]):
    """A policy version, without its rules."""

    id = serializers.UUIDField()
    number = serializers.IntegerField()
    state = serializers.ChoiceField(PolicyState.values)
    revision = serializers.IntegerField(help_text="Send it back as If-Match, in quotes")
    note = serializers.CharField()
    created_at = serializers.DateTimeField()
    created_by = serializers.CharField()
    edited_at = serializers.DateTimeField(allow_null=True)
    edited_by = serializers.CharField()
    activated_at = serializers.DateTimeField(allow_null=True)


class PolicyDetailSerializer(PolicySerializer):
    """A policy version with its rules, in the order in which they were written."""

    rules = serializers.JSONField(help_text="What PUT and POST take as `document.rules`")
    answers = serializers.JSONField(help_text="What they take as `document.answers`")
    yaml = serializers.CharField(help_text="The same as a YAML document")


class DocumentField(serializers.JSONField):
    """A policy document: an object with `rules`, perhaps `answers`, or its text as YAML or JSON."""

    def to_internal_value(self, data: Any) -> Any:
        """Read it as it came; `policy.documents` says what is wrong with it."""
        if not isinstance(data, dict | str):
            raise serializers.ValidationError("give an object with `rules`, or a text of YAML")
        return data


class PolicyRequest(StrictSerializer):
    """A document to store."""

    document = DocumentField()
    note = serializers.CharField(required=False, allow_blank=True, max_length=500)


class ActivateRequest(StrictSerializer):
    """Why a version is put in force."""

    reason = serializers.CharField(required=False, default="", allow_blank=True, max_length=500)


class PolicyList(ApiView):
    """The policy versions of the tenant."""

    @extend_schema(
        operation_id="policies_list",
        summary="List policy versions, newest first",
        parameters=[PageQuery],
        responses=page_of("Policy", PolicySerializer),
    )
    def get(self, request: Request) -> Response:
        """List policy versions, newest first."""
        asked = query_of(request, PageQuery)
        with self.scope():
            page = policy_versions(position=position_of(asked.get("cursor")), limit=asked["limit"])
            return Response(page_body(page, PolicySerializer))

    @extend_schema(
        operation_id="policies_create",
        summary="Store a document as a new draft; nothing is judged by it yet",
        parameters=[IDEMPOTENCY_KEY],
        request=PolicyRequest,
        responses={201: PolicyDetailSerializer},
    )
    def post(self, request: Request) -> Response:
        """Store a document as a new draft; nothing is judged by it yet."""
        actor = self.caller.require(Role.ADMIN)
        asked = body_of(request, PolicyRequest)

        def act() -> Answer:
            made = create_version(asked["document"], note=asked.get("note", ""), by=actor)
            return _answer(made).created(f"/api/v1/policies/{made}")

        return answer_once(request, "policies.create", act, now=timezone.now()).response()


class PolicyDetail(ApiView):
    """One policy version."""

    @extend_schema(
        operation_id="policies_get",
        summary="Get a policy version with its rules; its ETag goes into If-Match",
        responses=PolicyDetailSerializer,
    )
    def get(self, request: Request, policy_id: UUID) -> Response:  # noqa: ARG002
        """Get a policy version with its rules; its ETag goes into If-Match."""
        with self.scope():
            return _answer(policy_id).response()

    @extend_schema(
        operation_id="policies_edit",
        summary="Replace the rules of a draft",
        parameters=[IF_MATCH],
        request=PolicyRequest,
        responses={200: PolicyDetailSerializer},
    )
    def put(self, request: Request, policy_id: UUID) -> Response:
        """Replace the rules of a draft."""
        actor = self.caller.require(Role.ADMIN)
        revision = matched_version(request)
        asked = body_of(request, PolicyRequest)
        with self.scope():
            _known(policy_id)
            edit_draft(
                policy_id, asked["document"], revision=revision, note=asked.get("note"), by=actor
            )
            return _answer(policy_id).response()


class PolicyActivate(ApiView):
    """Putting a policy version in force."""

    @extend_schema(
        operation_id="policies_activate",
        summary="Judge every call by this version from now on",
        parameters=[IDEMPOTENCY_KEY, IF_MATCH],
        request=ActivateRequest,
        responses={200: PolicyDetailSerializer},
    )
    def post(self, request: Request, policy_id: UUID) -> Response:
        """Judge every call by this version from now on."""
        actor = self.caller.require(Role.ADMIN)
        revision = matched_version(request)
        asked = body_of(request, ActivateRequest)

        def act() -> Answer:
            _known(policy_id)
            activate(policy_id, reason=asked["reason"], revision=revision, by=actor)
            return _answer(policy_id)

        return answer_once(request, "policies.activate", act, now=timezone.now()).response()


def _known(policy_id: UUID) -> PolicyView:
    try:
        return policy_version(policy_id)
    except PolicyVersion.DoesNotExist:
        raise Http404(f"there is no policy version {policy_id}") from None


def _answer(policy_id: UUID) -> Answer:
    found = _known(policy_id)
    body = dict(PolicyDetailSerializer(found).data)
    return Answer(200, body, {"ETag": etag_of(found.revision)})
