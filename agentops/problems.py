"""Every error as a problem (RFC 9457). The one table from what went wrong to a status.

    exception ──TABLE──▶ Kind(status, code, title) ──▶ application/problem+json

`type` is a page under /api/problems/ that says what to do; `code` is its stable name.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

import structlog
from django.core.exceptions import (
    BadRequest,
    PermissionDenied,
)
from django.db import Error
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views import defaults
from rest_framework import exceptions
from rest_framework.response import Response

from agentops.problem_kinds import (
    BAD_REQUEST,
    FORBIDDEN,
    INTERNAL,
    KINDS,
    NOT_FOUND,
    UNAVAILABLE,
    Kind,
    kind_of,
)
from policy import errors as policy

log = structlog.get_logger(__name__)

MEDIA_TYPE: Final = "application/problem+json"


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


def _patience(error: Exception, kind: Kind) -> int | None:
    """Give the milliseconds after which the request may be sent again."""
    seconds = getattr(error, "retry_after", None)
    return kind.retry_after_ms if seconds is None else math.ceil(seconds * 1000)


def handle(error: Exception, context: Mapping[str, Any]) -> Response:
    """Answer an error of an API view; REST framework's EXCEPTION_HANDLER."""
    request = context["request"]
    kind = kind_of(error)
    if kind is INTERNAL:
        log.error("api.internal_error", exc_info=error, path=request.path)
    elif kind is UNAVAILABLE:
        log.warning("api.database_unavailable", detail=str(error))
    body = problem(request, kind, _detail(error, kind), _errors(error))
    if (patience := _patience(error, kind)) is not None:
        body |= {"retryable": True, "retry_after_ms": patience}
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
    if (patience := _patience(error, kind)) is not None:
        headers["Retry-After"] = str(math.ceil(patience / 1000))
    return headers
