"""What every API view has: a caller, a scope of its tenant, and a described interface."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from decimal import Decimal
from typing import Any, Final, Literal, cast

from drf_spectacular.openapi import AutoSchema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.views import APIView

from policy import tenancy
from policy.api import throttle
from policy.api.authentication import Caller
from policy.api.errors import InvalidFields, MatchFailed, MatchMissing
from policy.core.limits import Taken
from policy.errors import RequestsLimited

PROBLEM: Final = "application/problem+json"
BOTH: Final = ("400", "401", "403", "404", "429", "503")
WRITING: Final = ("409", "413", "415", "422")


class ProblemErrorSerializer(serializers.Serializer[Any]):
    """One thing that is wrong, and where."""

    pointer = serializers.CharField(allow_blank=True, help_text="JSON Pointer, or /query/NAME")
    detail = serializers.CharField()


class ProblemSerializer(serializers.Serializer[Any]):
    """An error, as RFC 9457 describes one."""

    type = serializers.CharField(help_text="Page that explains this kind of problem")
    title = serializers.CharField()
    status = serializers.IntegerField()
    code = serializers.CharField(help_text="Stable name of the kind")
    detail = serializers.CharField()
    request_id = serializers.CharField()
    errors = ProblemErrorSerializer(many=True)  # type: ignore[assignment]
    retryable = serializers.BooleanField()
    retry_after_ms = serializers.IntegerField(allow_null=True)


class TaggedSchema(AutoSchema):
    """Groups views by the resource in their address."""

    def get_tags(self) -> list[str]:
        """Give the word after /api/v1/."""
        return [self.path.split("/")[3]]


class ProblemSchema(TaggedSchema):
    """Describes, beside what a view answers, the problems that every view may answer."""

    def _get_response_bodies(
        self, direction: Literal["request", "response"] = "response"
    ) -> dict[str, Any]:
        bodies: dict[str, Any] = super()._get_response_bodies(direction)
        for status in (*BOTH, *(WRITING if self.method == "POST" else ())):
            bodies.setdefault(
                status,
                self._get_response_for_code(ProblemSerializer, status, media_types=[PROBLEM]),  # type: ignore[no-untyped-call]
            )
        return bodies


class ApiView(APIView):
    """A view that acts for one caller in one tenant, who sends not too many requests."""

    room: Taken | None = None

    schema = ProblemSchema()

    @property
    def caller(self) -> Caller:
        """Give who calls."""
        return cast("Caller", self.request.user)  # ApiKeyAuthentication makes nothing else

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Let the request in, if its key has not sent too many.

        Raises:
            RequestsLimited: it has; nothing was done.
        """
        super().initial(request, *args, **kwargs)
        try:
            self.room = throttle.take(self.caller)
        except RequestsLimited as error:
            self.room = Taken(0, error.retry_after)
            raise

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Say in every answer how much room is left (draft-ietf-httpapi-ratelimit-headers-10)."""
        answer = super().finalize_response(request, response, *args, **kwargs)
        for name, value in throttle.headers(self.room).items():
            answer[name] = value
        return answer

    def scope(self) -> AbstractContextManager[None]:
        """Open a transaction that sees the caller's tenant only."""
        return tenancy.scope(self.caller.tenant_id)


class StrictSerializer(serializers.Serializer[Any]):
    """A request's fields. What it does not know it refuses, instead of ignoring it."""

    def to_internal_value(self, data: Any) -> Any:
        """Read the fields.

        Raises:
            ValidationError: one does not fit, or is not known.
        """
        if isinstance(data, Mapping) and (unknown := set(data) - set(self.fields)):
            raise serializers.ValidationError(
                {name: ["there is no such field"] for name in sorted(unknown, key=str)}
            )
        return super().to_internal_value(data)


def body_of(request: Request, form: type[StrictSerializer]) -> dict[str, Any]:
    """Read the body by a form.

    Raises:
        InvalidFields: it is no object, or a field does not fit.
    """
    if not isinstance(request.data, Mapping):
        raise InvalidFields([("", "the body must be a JSON object")])
    read = form(data=request.data)
    read.is_valid(raise_exception=True)
    return dict(read.validated_data)


def query_of(request: Request, form: type[StrictSerializer], *, leave: str = "") -> dict[str, Any]:
    """Read the query by a form; names that begin with `leave` are not its business.

    Raises:
        InvalidFields: a parameter does not fit, stands twice, or is not known.
    """
    given = request.query_params
    ours = {name: given[name] for name in given if not (leave and name.startswith(leave))}
    if twice := [name for name in ours if len(given.getlist(name)) > 1]:
        raise InvalidFields([(f"/query/{name}", "stands more than once") for name in twice])
    read = form(data=ours)
    if not read.is_valid():
        raise InvalidFields(
            [(f"/query/{name}", str(texts[0])) for name, texts in read.errors.items()]
        )
    return dict(read.validated_data)


def etag_of(version: int) -> str:
    """Write a version as a strong ETag."""
    return f'"{version}"'


def matched_version(request: Request) -> int:
    """Read from If-Match which version the request was written against.

    Raises:
        MatchMissing: the header is not there.
        MatchFailed: it is no strong ETag of ours.
    """
    given = request.headers.get("If-Match", "").strip()
    if not given:
        raise MatchMissing("send If-Match with the ETag of what you read")
    bare = given.removeprefix('"').removesuffix('"')
    if len(given) != len(bare) + 2 or not (bare.isascii() and bare.isdigit()) or len(bare) > 9:  # noqa: PLR2004
        raise MatchFailed(f"{given[:80]} is no ETag of ours; it looks like {etag_of(1)}")
    return int(bare)


def money(amount: Decimal) -> str:
    """Write US dollars as a decimal text with at least two places."""
    text = f"{amount:.9f}".rstrip("0")
    whole, _, cents = text.partition(".")
    return f"{whole}.{cents:0<2}"
