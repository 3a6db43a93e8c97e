"""Tool servers and their tools in the admin: to be read, but for prices. Tokens are never shown."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse

from policy.admin import ReadOnly
from policy.console.pages import may
from policy.models import Role
from policy.queries import actor_of_user
from tools.models import RemoteTool, ToolServer


@admin.register(ToolServer)
class ToolServerAdmin(ReadOnly):
    """Remote servers of tools."""

    list_display = ("name", "url", "has_token")
    ordering = ("name",)

    @admin.display(boolean=True, description="Token stored")
    def has_token(self, row: ToolServer) -> bool:
        """Say whether a token is stored, encrypted."""
        return bool(row.secret)


@admin.register(RemoteTool)
class RemoteToolAdmin(ReadOnly):
    """Tools by name, with what may be done about a call whose outcome nobody knows."""

    list_display = ("name", "server", "effect", "risk", "egress", "trusted", "price", "enabled")
    list_filter = ("effect", "risk", "egress", "trusted", "reversible", "enabled")
    list_select_related = ("server",)
    search_fields = ("name", "description")
    ordering = ("name",)
    change_form_outer_after_template = "console/tool_price.html"

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show a tool, and to who may the form of its price."""
        may_price = may(actor_of_user(request.user), Role.FINANCE)
        told = {**(extra_context or {}), "may_price": may_price}
        shown: HttpResponse = super().change_view(request, object_id, form_url, told)
        return shown
