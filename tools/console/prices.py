"""The form on a tool's page: what a call of it costs."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect

from policy.console.pages import StaffRequest, attempt, require, staff_page
from policy.models import Role
from tools.errors import ToolsError
from tools.operations.set_price import set_price


@staff_page
def price(request: StaffRequest, tool_id: UUID) -> HttpResponse:
    """Say what a call of a tool costs. Only by POST."""

    def act() -> None:
        require(request.actor, Role.FINANCE)
        set_price(tool_id, request.POST.get("price", "").strip(), by=request.actor)

    if request.method == "POST" and attempt(request, act, ToolsError):
        messages.success(request, "Set. Workers follow within two seconds.")
    return redirect("admin:tools_remotetool_change", tool_id)
