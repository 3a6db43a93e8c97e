"""Models and endpoints in the admin: to be read. Secrets are never shown."""

from __future__ import annotations

from django.contrib import admin

from gateway.models import Model, ModelEndpoint
from policy.admin import ReadOnly


@admin.register(Model)
class ModelAdmin(ReadOnly):
    """Models by the tenant's name for them, with their price."""

    list_display = (
        "name",
        "endpoint",
        "model_id",
        "input_per_million",
        "output_per_million",
        "price_version",
    )
    list_select_related = ("endpoint",)
    ordering = ("name",)


@admin.register(ModelEndpoint)
class ModelEndpointAdmin(ReadOnly):
    """Where models are asked."""

    list_display = ("name", "provider", "base_url", "timeout_seconds", "has_key")
    ordering = ("name",)

    @admin.display(boolean=True, description="Key stored")
    def has_key(self, row: ModelEndpoint) -> bool:
        """Say whether a key is stored, encrypted."""
        return bool(row.secret)
