"""The tenant's line over HTTP."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from policy.api.views import ApiView
from runs.queries.lines import line


class LineSerializer(serializers.Serializer[Any]):
    """How the tenant stands: its share of the workers, its bounds, and its runs."""

    weight = serializers.IntegerField(help_text="Its share of the workers, against other tenants'")
    max_active = serializers.IntegerField(allow_null=True, help_text="null: no bound")
    max_queued = serializers.IntegerField()
    file_bytes = serializers.IntegerField(help_text="What its runs' files come to")
    max_file_bytes = serializers.IntegerField(allow_null=True, help_text="null: no bound")
    active = serializers.IntegerField(help_text="Runs that are worked on, or next to be")
    waiting = serializers.IntegerField(help_text="Runs that wait for their turn")
    oldest = serializers.DateTimeField(allow_null=True, help_text="When the oldest of those came")
    per_second = serializers.FloatField(help_text="Runs let in a second, over the last ten or so")
    seats = serializers.IntegerField(help_text="What all tenants share")
    free_seats = serializers.IntegerField()


class LineDetail(ApiView):
    """The tenant's line."""

    @extend_schema(
        operation_id="queue_get",
        summary="See how many runs wait for their turn, and what the tenant may have",
        responses=LineSerializer,
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        """See how the tenant stands."""
        with self.scope():
            return Response(LineSerializer(line()).data)
