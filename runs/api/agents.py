"""Agents over HTTP."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from policy.api.pages import page_of, whole_body
from policy.api.views import ApiView
from runs import queries
from runs.api.fields import AgentSerializer


class AgentList(ApiView):
    """The agents of the tenant."""

    @extend_schema(
        operation_id="agents_list",
        summary="List agents and their versions",
        responses=page_of("Agent", AgentSerializer),
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        """List agents and their versions."""
        with self.scope():
            return Response(whole_body(queries.agents(), AgentSerializer))
