"""The remote tools of the tenant and what a call of each costs, over HTTP."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from policy.api.fields import MoneyField
from policy.api.pages import page_of, whole_body
from policy.api.views import ApiView, StrictSerializer, body_of
from policy.models import Role
from tools.models import RemoteTool
from tools.operations.set_price import set_price


class PriceRequest(StrictSerializer):
    """What a call is to cost."""

    price = serializers.DecimalField(
        max_digits=20, decimal_places=9, min_value=Decimal(0), help_text="In US dollars"
    )


class ToolSerializer(serializers.Serializer[Any]):
    """A tool of a server, as it was declared in this tenant."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    server = serializers.CharField()
    effect = serializers.CharField()
    risk = serializers.CharField()
    egress = serializers.BooleanField(help_text="It sends data out")
    trusted = serializers.BooleanField(help_text="No stranger writes what it gives")
    reversible = serializers.BooleanField(allow_null=True, help_text="null: nobody said")
    price = MoneyField(help_text="What a call costs, in US dollars")
    enabled = serializers.BooleanField()


class ToolList(ApiView):
    """The remote tools of the tenant."""

    @extend_schema(
        operation_id="tools_list",
        summary="List the tools of the tenant's servers, by name",
        responses=page_of("Tool", ToolSerializer),
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        """List remote tools by name."""
        with self.scope():
            rows = RemoteTool.objects.select_related("server").order_by("name")
            return Response(whole_body(rows, ToolSerializer))


class ToolPrice(ApiView):
    """What a call of one tool costs."""

    @extend_schema(
        operation_id="tools_price",
        summary="Say what a call of a tool costs; workers follow within two seconds",
        request=PriceRequest,
        responses=ToolSerializer,
    )
    def put(self, request: Request, tool_id: UUID) -> Response:
        """Set a tool's price; the same again changes nothing."""
        actor = self.caller.require(Role.FINANCE, Role.ADMIN)
        asked = body_of(request, PriceRequest)
        with self.scope():
            priced = set_price(tool_id, asked["price"], by=actor)
            return Response(ToolSerializer(priced).data)
