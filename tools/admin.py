"""Tool servers and their tools in the admin: to be read. Tokens are never shown."""

from __future__ import annotations

from django.contrib import admin

from policy.admin import ReadOnly
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
