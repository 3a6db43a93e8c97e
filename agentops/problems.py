"""Every error as a problem (RFC 9457). The one table from what went wrong to a status.

    exception ──TABLE──▶ Kind(status, code, title) ──▶ application/problem+json

`type` is a page under /api/problems/ that says what to do; `code` is its stable name.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import structlog
from django.core.exceptions import (
    BadRequest,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
)
from django.db import DataError, Error, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views import defaults
from rest_framework import exceptions
from rest_framework.response import Response

from policy import errors as policy
from policy.api import errors as request_errors
from runs import errors as runs

log = structlog.get_logger(__name__)

MEDIA_TYPE: Final = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of problem: what a client may rely on."""

    status: int
    code: str
    title: str
    cure: str
    retry_after_ms: int | None = None


INTERNAL: Final = Kind(
    500,
    "internal",
    "Something of ours went wrong",
    "Nothing you sent is to blame. Report the request id. With the same Idempotency-Key the "
    "request may be sent again.",
)
UNAVAILABLE: Final = Kind(
    503,
    "unavailable",
    "The database cannot be reached",
    "Send the same request with the same Idempotency-Key again after the time given.",
    1000,
)
NOT_FOUND: Final = Kind(
    404,
    "not_found",
    "There is no such thing here",
    "Look at the address and the id. What belongs to another tenant is not found either.",
)
INVALID: Final = Kind(
    422,
    "invalid_request",
    "The request does not fit",
    "`errors` names each part that is wrong by a JSON Pointer into the body, or by /query/NAME.",
)
BAD_REQUEST: Final = Kind(
    400, "bad_request", "The request cannot be understood", "See `detail` for what is wrong."
)
FORBIDDEN: Final = Kind(
    403,
    "not_allowed",
    "You may not do this",
    "The principal behind the key lacks a role. A tenant admin can give it one.",
)
TOO_LARGE: Final = Kind(
    413, "body_too_large", "The body is too large", "Send less; `detail` says how much is read."
)

TABLE: Final[Mapping[type[Exception], Kind]] = {
    # the request itself
    request_errors.MalformedBody: Kind(
        400, "malformed_json", "The body is not JSON", "Send one JSON value in UTF-8."
    ),
    request_errors.UnusableJson: Kind(
        422,
        "unusable_json",
        "The body cannot be stored as it is",
        "Names stand once per object; text holds no U+0000 and no half surrogate pairs; nesting "
        "and numbers are bounded.",
    ),
    request_errors.BodyTooLarge: TOO_LARGE,
    RequestDataTooBig: TOO_LARGE,
    request_errors.InvalidFields: INVALID,
    request_errors.InvalidCursor: Kind(
        400, "invalid_cursor", "The cursor is not one of ours", "Begin again without a cursor."
    ),
    request_errors.KeyMissing: Kind(
        400,
        "key_missing",
        "An Idempotency-Key is needed",
        "Send the header Idempotency-Key with a text that is new for this action, and the same "
        "text again when you repeat the request.",
    ),
    request_errors.KeyMalformed: Kind(
        400,
        "key_malformed",
        "The Idempotency-Key cannot be used",
        "Use 1 to 255 visible ASCII characters; a UUID is a good choice.",
    ),
    request_errors.KeyReused: Kind(
        422,
        "key_reused",
        "The Idempotency-Key belongs to another request",
        "A key names one request. Take a new key for another body or address.",
    ),
    request_errors.KeyInUse: Kind(
        409,
        "key_in_use",
        "The first request with this key is still running",
        "Wait and send the same request again: its answer will be there.",
        250,
    ),
    request_errors.MatchMissing: Kind(
        428,
        "if_match_missing",
        "If-Match is needed",
        "Read the resource and send its ETag as If-Match, so that you decide on what you saw.",
    ),
    request_errors.MatchFailed: Kind(
        412, "changed", "It changed since you read it", "Read it again and decide on that."
    ),
    # policy
    policy.NotAllowed: FORBIDDEN,
    policy.ApprovalNotOpen: Kind(
        409,
        "approval_not_open",
        "This approval is closed",
        "It was decided, expired or withdrawn before. The first decision stands.",
    ),
    policy.ApprovalChanged: Kind(
        412, "changed", "It changed since you read it", "Read it again and decide on that."
    ),
    policy.InvalidDecision: Kind(
        422,
        "invalid_decision",
        "The decision does not fit this approval",
        "A call that waits is answered approve or reject; an unknown outcome is answered "
        "happened, with its result, or not_happened. Rejecting needs a reason.",
    ),
    policy.InvalidRaise: Kind(
        422,
        "invalid_raise",
        "The raise cannot be made",
        "Raise a limited unit (cost, tokens, model_calls, tool_calls) by a positive amount.",
    ),
    policy.InvalidPolicy: Kind(
        422, "invalid_policy", "The policy cannot be used", "See `detail` for the offending part."
    ),
    # runs
    runs.UnknownAgent: Kind(
        404, "unknown_agent", "There is no such agent", "GET /api/v1/agents lists the agents."
    ),
    runs.InvalidInput: Kind(
        422, "invalid_input", "The input does not fit the agent", "`errors` names what is wrong."
    ),
    runs.UnknownRun: NOT_FOUND,
    runs.UnknownApproval: NOT_FOUND,
    runs.UnknownBudget: NOT_FOUND,
    runs.UnknownCheckpoint: NOT_FOUND,
    runs.StandingEffects: Kind(
        409,
        "irreversible",
        "What was done since then stays done",
        "Look at GET /runs/{id}/irreversible; to go back all the same, send accept_irreversible.",
    ),
    runs.IllegalMove: Kind(
        409,
        "illegal_move",
        "The run's state does not allow this",
        "Read the run: an ended run never moves again.",
    ),
    runs.SignalRefused: Kind(
        409,
        "signal_refused",
        "This signal cannot be kept",
        "An id names one signal for ever: send something else under an id of its own.",
    ),
    # the framework
    exceptions.ValidationError: INVALID,
    exceptions.ParseError: BAD_REQUEST,
    exceptions.NotAuthenticated: Kind(
        401,
        "unauthenticated",
        "An API key is needed",
        "Send `Authorization: Bearer ao_...`. `manage.py apikey issue` makes one.",
    ),
    exceptions.AuthenticationFailed: Kind(
        401, "invalid_key", "This API key is not good", "Issue a new one; keys are shown once."
    ),
    exceptions.PermissionDenied: FORBIDDEN,
    PermissionDenied: FORBIDDEN,
    exceptions.NotFound: NOT_FOUND,
    Http404: NOT_FOUND,
    exceptions.MethodNotAllowed: Kind(
        405, "method_not_allowed", "This address has no such method", "See the header Allow."
    ),
    exceptions.NotAcceptable: Kind(
        406, "not_acceptable", "Only JSON is spoken here", "Accept application/json."
    ),
    exceptions.UnsupportedMediaType: Kind(
        415,
        "unsupported_media_type",
        "Only JSON is read here",
        "Send the body as `Content-Type: application/json`.",
    ),
    exceptions.Throttled: Kind(
        429, "rate_limited", "Too many requests", "Wait as long as Retry-After says."
    ),
    BadRequest: BAD_REQUEST,
    SuspiciousOperation: BAD_REQUEST,
    # the database
    OperationalError: UNAVAILABLE,
    InterfaceError: UNAVAILABLE,
    DataError: Kind(
        422, "unusable_value", "A value cannot be stored", "Numbers and texts have bounds."
    ),
}
KINDS: Final[Mapping[str, Kind]] = {k.code: k for k in (*TABLE.values(), INTERNAL)}


def kind_of(error: Exception) -> Kind:
    """Find the kind of an error by its class or the nearest base; unknown ones are ours."""
    for base in type(error).__mro__:
        if base in TABLE:
            return TABLE[base]
    return INTERNAL


def problem(
    request: HttpRequest,
    kind: Kind,
    detail: str = "",
    errors: Iterable[tuple[str, str]] = (),
) -> dict[str, Any]:
    """Describe one problem, as the body of its response."""
    return {
        "type": f"/api/problems/{kind.code}",
        "title": kind.title,
        "status": kind.status,
        "code": kind.code,
        "detail": detail or kind.cure,
        "request_id": getattr(request, "request_id", ""),
        "errors": [{"pointer": pointer, "detail": text} for pointer, text in errors],
        "retryable": kind.retry_after_ms is not None,
        "retry_after_ms": kind.retry_after_ms,
    }


def handle(error: Exception, context: Mapping[str, Any]) -> Response:
    """Answer an error of an API view; REST framework's EXCEPTION_HANDLER."""
    request = context["request"]
    kind = kind_of(error)
    if kind is INTERNAL:
        log.error("api.internal_error", exc_info=error, path=request.path)
    elif kind is UNAVAILABLE:
        log.warning("api.database_unavailable", detail=str(error))
    body = problem(request, kind, _detail(error, kind), _errors(error))
    return Response(
        body, status=kind.status, headers=_headers(error, kind), content_type=MEDIA_TYPE
    )


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Answer an address that nothing answers."""
    if not _is_api(request):
        return defaults.page_not_found(request, exception or Http404())
    return _plain(request, NOT_FOUND, f"nothing answers at {request.path}")


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Answer a request that Django itself refuses."""
    if not _is_api(request):
        return defaults.bad_request(request, exception or BadRequest())
    return _plain(request, kind_of(exception) if exception else BAD_REQUEST)


def permission_denied(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Answer what is refused outside of API views."""
    if not _is_api(request):
        return defaults.permission_denied(request, exception or PermissionDenied())
    return _plain(request, FORBIDDEN)


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer an error that nothing else answered."""
    if not _is_api(request):
        return defaults.server_error(request)
    return _plain(request, INTERNAL)


def page(request: HttpRequest, code: str) -> HttpResponse:
    """Show what a kind of problem means and what to do: the page its `type` names."""
    if code not in KINDS:
        return not_found(request)
    return render(request, "problems/page.html", {"kind": KINDS[code]})


def _plain(request: HttpRequest, kind: Kind, detail: str = "") -> HttpResponse:
    body = json.dumps(problem(request, kind, detail))
    return HttpResponse(body, status=kind.status, content_type=MEDIA_TYPE)


def _is_api(request: HttpRequest) -> bool:
    return request.path.startswith("/api/")


def _detail(error: Exception, kind: Kind) -> str:
    if kind in (INTERNAL, UNAVAILABLE) or isinstance(error, Error):
        return ""
    if isinstance(error, exceptions.ValidationError):
        return "; ".join(f"{pointer or '/'}: {text}" for pointer, text in _errors(error))
    if isinstance(error, exceptions.APIException):
        return str(error.detail)
    return str(error)


def _errors(error: Exception) -> list[tuple[str, str]]:
    if isinstance(error, exceptions.ValidationError):
        return list(flattened(error.detail, ""))
    if isinstance(error, policy.InvalidPolicy):
        return [(error.pointer, error.detail)]
    return list(getattr(error, "errors", []))


def flattened(detail: Any, pointer: str) -> Iterable[tuple[str, str]]:
    """Give each message of a serializer with the JSON Pointer of what it is about."""
    if isinstance(detail, Mapping):
        for name, inner in detail.items():
            step = "" if name == "non_field_errors" else f"/{name}"
            yield from flattened(inner, pointer + step)
    elif isinstance(detail, list):
        for index, inner in enumerate(detail):
            nested = isinstance(inner, Mapping | list)
            yield from flattened(inner, f"{pointer}/{index}" if nested else pointer)
    else:
        yield pointer, str(detail)


def _headers(error: Exception, kind: Kind) -> dict[str, str]:
    headers = {}
    if (challenge := getattr(error, "auth_header", None)) is not None:
        headers["WWW-Authenticate"] = challenge
    if kind.retry_after_ms is not None:
        headers["Retry-After"] = str(math.ceil(kind.retry_after_ms / 1000))
    return headers
