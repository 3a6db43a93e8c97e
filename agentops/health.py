"""Is this process alive, and can it work: the two questions of whoever watches it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import redis
from django.conf import settings
from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor
from drf_spectacular.utils import extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from policy.api.views import TaggedSchema

ANSWER = inline_serializer("Health", {"status": serializers.CharField()})
CHECKS = inline_serializer(
    "Readiness",
    {
        "status": serializers.ChoiceField(["ready", "not_ready"]),
        "checks": serializers.DictField(child=serializers.CharField()),
    },
)


class Live(APIView):
    """Whether this process answers at all."""

    schema = TaggedSchema()
    authentication_classes = ()
    permission_classes = (AllowAny,)

    @extend_schema(operation_id="health_live", summary="Is it alive", responses=ANSWER, auth=[])
    def get(self, request: Request) -> Response:  # noqa: ARG002
        """Answer."""
        return Response({"status": "alive"})


class Ready(APIView):
    """Whether everything is there that requests need."""

    schema = TaggedSchema()
    authentication_classes = ()
    permission_classes = (AllowAny,)

    @extend_schema(
        operation_id="health_ready",
        summary="Can it work",
        responses={200: CHECKS, 503: CHECKS},
        auth=[],
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        """Ask the database, Redis, and whether the schema is this code's."""
        checks = {name: _said(ask) for name, ask in ASKED.items()}
        good = all(said == "ok" for said in checks.values())
        body = {"status": "ready" if good else "not_ready", "checks": checks}
        return Response(body, status=200 if good else 503)


def _said(ask: Callable[[], Any]) -> str:
    try:
        return str(ask())
    except Error:
        return "the database cannot be reached"
    except redis.RedisError:
        return "Redis cannot be reached"


def _database() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return "ok"


def _redis() -> str:
    with redis.Redis.from_url(
        settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2
    ) as client:
        client.ping()
    return "ok"


def _migrations() -> str:
    executor = MigrationExecutor(connection)
    missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return f"{len(missing)} migrations are missing: run migrate" if missing else "ok"


ASKED: dict[str, Callable[[], str]] = {
    "database": _database,
    "redis": _redis,
    "migrations": _migrations,
}
