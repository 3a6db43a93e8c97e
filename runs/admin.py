"""Agents and their versions in the admin: to be read. Runs have pages of their own."""

from __future__ import annotations

from django.contrib import admin
from unfold.admin import TabularInline

from policy.admin import Readable, ReadOnly
from runs.models import Agent, AgentVersion


class VersionInline(Readable, TabularInline):  # type: ignore[misc]
    """The versions of an agent."""

    model = AgentVersion
    extra = 0
    hide_title = True
    fields = ("version", "kind", "created_at", "definition")
    readonly_fields = ("created_at",)
    ordering = ("-created_at",)


@admin.register(Agent)
class AgentAdmin(ReadOnly):
    """Agents by name."""

    list_display = ("name", "newest_version", "created_at")
    search_fields = ("name",)
    ordering = ("name",)
    inlines = (VersionInline,)

    @admin.display(description="Newest version")
    def newest_version(self, row: Agent) -> str:
        """Name the version that a run gets which asks for none."""
        version = AgentVersion.objects.filter(agent=row).order_by("-created_at").first()
        return "" if version is None else version.version
