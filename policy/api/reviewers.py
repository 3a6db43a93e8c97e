"""Who may act in a tenant, and what they may decide, over HTTP."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from policy.api.pages import page_of, whole_body
from policy.api.views import ApiView, StrictSerializer, body_of
from policy.core.rules.approvals import RISKS
from policy.errors import UnknownPrincipal
from policy.models import Role
from policy.operations.set_reviewing import set_reviewing
from policy.queries import principals_with_keys


class ReviewingRequest(StrictSerializer):
    """What somebody may decide."""

    groups = serializers.ListField(child=serializers.CharField(max_length=100), max_length=50)
    decides_up_to = serializers.ChoiceField(RISKS)


class PrincipalSerializer(serializers.Serializer[Any]):
    """Somebody or something that acts in the tenant."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    username = serializers.CharField(help_text="Empty for a service")
    roles = serializers.ListField(child=serializers.CharField())
    groups = serializers.ListField(child=serializers.CharField(), help_text="As rules name them")
    decides_up_to = serializers.CharField(help_text="The highest risk that it may decide")


class PrincipalList(ApiView):
    """The principals of the tenant."""

    @extend_schema(
        operation_id="principals_list",
        summary="List who may act in the tenant, by name",
        responses=page_of("Principal", PrincipalSerializer),
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        """List principals by name."""
        with self.scope():
            return Response(whole_body(principals_with_keys(), PrincipalSerializer))


class PrincipalReviewing(ApiView):
    """What one principal may decide."""

    @extend_schema(
        operation_id="principals_reviewing",
        summary="Say which reviewer groups somebody is in, and up to which risk they decide",
        request=ReviewingRequest,
        responses=PrincipalSerializer,
    )
    def put(self, request: Request, principal_id: UUID) -> Response:
        """Replace somebody's groups and risk; the same again changes nothing."""
        actor = self.caller.require(Role.ADMIN)
        asked = body_of(request, ReviewingRequest)
        with self.scope():
            set_reviewing(principal_id, **asked, by=actor)
            found = next((one for one in principals_with_keys() if one.id == principal_id), None)
        if found is None:
            raise UnknownPrincipal(f"there is no principal {principal_id}")
        return Response(PrincipalSerializer(found).data)
