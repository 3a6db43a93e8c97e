"""What every request gets before a view sees it."""

from __future__ import annotations

import re
from collections.abc import Callable

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from uuid_utils.compat import uuid7

from policy import tenancy
from policy.console.pages import Outside
from policy.queries import tenants_open_to

WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{8,128}\Z")
SERVER_ERROR = 500
TENANT_IN_SESSION = "agentops_tenant"

Handler = Callable[[HttpRequest], HttpResponse]


class RequestIdMiddleware:
    """Names every request, by the caller's own id where it is well formed."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        asked = request.headers.get("X-Request-Id", "")
        request.request_id = asked if WELL_FORMED.match(asked) else str(uuid7())  # type: ignore[attr-defined]
        response = self.get_response(request)
        response["X-Request-Id"] = request.request_id  # type: ignore[attr-defined]
        return response


class AdminTenantMiddleware:
    """Opens the scope of the tenant that a signed-in person works in, for admin pages.

    People work in one tenant at a time. Which ones they may enter is asked anew at
    every request, so that a membership that was taken away ends at once.
    """

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path.startswith("/admin/") or not request.user.is_authenticated:
            return self.get_response(request)
        request.tenants = tenants_open_to(request.user)  # type: ignore[attr-defined]
        request.tenant = self._chosen(request)  # type: ignore[attr-defined]
        if request.tenant is None:  # type: ignore[attr-defined]
            return self.get_response(request)
        with tenancy.scope(request.tenant.id):  # type: ignore[attr-defined]
            response = self.get_response(request)
            if hasattr(response, "render") and not getattr(response, "is_rendered", True):
                response = response.render()
            if response.status_code >= SERVER_ERROR:
                transaction.set_rollback(True)
        return response.answer() if isinstance(response, Outside) else response

    def _chosen(self, request: HttpRequest) -> object | None:
        tenants = {str(tenant.id): tenant for tenant in request.tenants}  # type: ignore[attr-defined]
        wanted = request.session.get(TENANT_IN_SESSION, "")
        return tenants.get(wanted) or next(iter(tenants.values()), None)
