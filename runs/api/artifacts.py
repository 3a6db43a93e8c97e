"""The files of a run over HTTP: what there is as of a checkpoint, and its bytes."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from policy.api.views import ApiView, StrictSerializer, query_of
from policy.errors import NotAllowed
from runs import queries
from runs.artifacts.download import UNKNOWN, downloaded
from runs.artifacts.here import kept_here

HIGHEST = 2**31 - 1


class MomentQuery(StrictSerializer):
    """Which checkpoint."""

    at = serializers.IntegerField(
        min_value=0,
        max_value=HIGHEST,
        required=False,
        default=None,
        help_text="A checkpoint; the newest if not given",
    )


class FileSerializer(serializers.Serializer[Any]):
    """One file."""

    name = serializers.CharField()
    size = serializers.IntegerField(allow_null=True, help_text="Bytes; null where it is masked")
    media_type = serializers.CharField()
    digest = serializers.CharField(help_text="SHA-256 of the bytes")


class FilesSerializer(serializers.Serializer[Any]):
    """All files of a run as of a checkpoint, by name."""

    super_step = serializers.IntegerField()
    results = FileSerializer(many=True, source="files")


class RunArtifacts(ApiView):
    """The files of a run."""

    @extend_schema(
        operation_id="runs_artifacts",
        summary="List the files of a run as of a checkpoint",
        parameters=[MomentQuery],
        responses=FilesSerializer,
    )
    def get(self, request: Request, run_id: UUID) -> Response:
        """List the files of a run as of a checkpoint."""
        asked = query_of(request, MomentQuery)
        with self.scope():
            found = queries.seen_by(self.caller.actor, queries.files(run_id, asked["at"]))
            return Response(FilesSerializer(found).data)


class RunArtifact(ApiView):
    """The bytes of one file."""

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:  # noqa: ARG002, FBT001, FBT002
        """Answer whatever type is accepted: the bytes have their own."""
        return super().perform_content_negotiation(request, force=True)

    @extend_schema(
        operation_id="runs_artifact",
        summary="Get the bytes of a file of a run, to be saved",
        parameters=[MomentQuery],
        responses={(200, UNKNOWN): OpenApiTypes.BINARY},
    )
    def get(self, request: Request, run_id: UUID, file: str) -> HttpResponse:
        """Get the bytes of a file as of a checkpoint; they are compared with their digest."""
        asked = query_of(request, MomentQuery)
        with self.scope():
            found = queries.file(run_id, asked["at"], file)
            tenant = str(self.caller.tenant_id)
        if not self.caller.actor.sees_content:
            raise NotAllowed("viewers see that a file is there, and not what it holds")
        return downloaded(
            kept_here().kept(tenant, found.digest),
            name=found.name,
            media_type=found.media_type,
            digest=found.digest,
        )
