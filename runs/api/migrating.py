"""Taking sleeping runs to another version over HTTP: what `manage.py migrateruns` does, paged."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from uuid_utils.compat import uuid7

from policy.api.headers import IDEMPOTENCY_KEY
from policy.api.idempotency import Answer, answer_once
from policy.api.views import ApiView, StrictSerializer, body_of
from policy.core.json import JsonObject
from policy.models import Role
from runs.operations.migrate_runs import (
    Verdict,
    between,
    migrate_run,
    migrated_runs,
    pinned_to,
    undo_one,
)

MOST: Final = 100
"""How many runs one request looks at: they are changed together, or none is."""


class UndoRequest(StrictSerializer):
    """Where to go on."""

    after = serializers.UUIDField(
        required=False, allow_null=True, default=None, help_text="`next_after` of the page before"
    )


class MigrationRequest(UndoRequest):
    """Which runs, and which way."""

    agent = serializers.CharField(max_length=100)
    to = serializers.CharField(max_length=50)
    dry_run = serializers.BooleanField(required=False, default=False)

    def get_fields(self) -> dict[str, Any]:
        """Add the one whose name is a word of Python."""
        return {"from": serializers.CharField(max_length=50), **super().get_fields()}


class VerdictSerializer(serializers.Serializer[Any]):
    """What became of one run, or would; `reasons` say why it is left as it is."""

    run_id = serializers.CharField()
    moved = serializers.BooleanField()
    reasons = serializers.ListField(child=serializers.CharField())


class MigrationSerializer(serializers.Serializer[Any]):
    """What became of a page of runs."""

    migration = serializers.UUIDField(allow_null=True, help_text="What an undo names")
    dry_run = serializers.BooleanField()
    results = VerdictSerializer(many=True)
    next_after = serializers.UUIDField(allow_null=True, help_text="null: these were the last")


class UndoneSerializer(serializers.Serializer[Any]):
    """What became of a page of the runs that a migration had moved."""

    results = VerdictSerializer(many=True)
    next_after = serializers.UUIDField(allow_null=True, help_text="null: these were the last")


class MigrationList(ApiView):
    """Taking over."""

    @extend_schema(
        operation_id="migrations_create",
        summary="Take sleeping runs to another version of their agent, or only look",
        parameters=[IDEMPOTENCY_KEY],
        request=MigrationRequest,
        responses=MigrationSerializer,
    )
    def post(self, request: Request) -> Response:
        """Take a page of an agent version's runs to another, each if it fits; the oldest first."""
        actor = self.caller.require(Role.OPERATOR, Role.ADMIN)
        asked = body_of(request, MigrationRequest)

        def act() -> Answer:
            versions = between(asked["agent"], origin=asked["from"], target=asked["to"])
            ids = pinned_to(versions.origin, after=asked["after"], most=MOST + 1)
            migration = None if asked["dry_run"] else uuid7()
            found = [
                migrate_run(one, versions, migration=migration, by=actor) for one in ids[:MOST]
            ]
            body: JsonObject = {
                "migration": migration and str(migration),
                "dry_run": asked["dry_run"],
                "results": _told(found),
                "next_after": str(ids[MOST - 1]) if len(ids) > MOST else None,
            }
            return Answer(200, body)

        return answer_once(request, "migrations.create", act, now=timezone.now()).response()


class MigrationUndo(ApiView):
    """Taking back."""

    @extend_schema(
        operation_id="migrations_undo",
        summary="Take the runs of a migration back to the version that they came from",
        parameters=[IDEMPOTENCY_KEY],
        request=UndoRequest,
        responses=UndoneSerializer,
    )
    def post(self, request: Request, migration_id: UUID) -> Response:
        """Take back a page of runs, each if nobody has worked on it since."""
        actor = self.caller.require(Role.OPERATOR, Role.ADMIN)
        asked = body_of(request, UndoRequest)

        def act() -> Answer:
            rows = migrated_runs(migration_id, after=asked["after"], most=MOST + 1)
            undone = _told(undo_one(row, by=actor) for row in rows[:MOST])
            more = str(rows[MOST - 1]) if len(rows) > MOST else None
            return Answer(200, {"results": undone, "next_after": more})

        return answer_once(request, "migrations.undo", act, now=timezone.now()).response()


def _told(verdicts: Iterable[Verdict]) -> list[Any]:
    return [
        {"run_id": str(one.run_id), "moved": one.is_moved, "reasons": list(one.reasons)}
        for one in verdicts
    ]
