"""Agents over HTTP."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from policy.api.views import ApiView
from runs import queries
from runs.api import pages
from runs.api.fields import AgentSerializer


class AgentList(ApiView):
    """The agents of the tenant."""

    @extend_schema(
        operation_id="agents_list",
        summary="List agents and their versions",
        responses=pages.page_of("Agent", AgentSerializer),
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        """List agents and their versions."""
        with self.scope():
            found = queries.agents()
        results = AgentSerializer(found, many=True).data
        return Response({"results": results, "next": None, "previous": None})
