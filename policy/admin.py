"""Rows of policy as the admin shows them: to be read. Operations change them, forms do not."""

from __future__ import annotations

from typing import Any, TypeVar

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin, TabularInline

from policy.models import AuditEvent, PolicyRule, PolicyVersion, Tenant

Row = TypeVar("Row", bound=Model)


class Readable:
    """Lets everybody who works in the tenant look, and nobody change."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Show it to who works in a tenant."""
        return getattr(request, "tenant", None) is not None

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """Show it to who works in a tenant."""
        return self.has_module_permission(request)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """Let nobody add."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """Let nobody change."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """Let nobody delete."""
        return False


class ReadOnly(Readable, ModelAdmin):  # type: ignore[misc]
    """A list and a page per row, without a form."""

    actions = None
    list_disable_select_all = True
    show_full_result_count = False
    compressed_fields = True
    exclude: tuple[str, ...] = ("tenant",)


class RuleInline(Readable, TabularInline):  # type: ignore[misc]
    """The rules of a policy version, in the order they are asked."""

    model = PolicyRule
    extra = 0
    hide_title = True
    fields = (
        "priority",
        "name",
        "decision",
        "tools",
        "agents",
        "effects",
        "condition",
        "reason",
        "expires_after",
    )


@admin.register(PolicyVersion)
class PolicyVersionAdmin(ReadOnly):
    """Policy versions, the newest first."""

    list_display = ("number", "note", "created_by", "created_at", "in_force")
    ordering = ("-number",)
    inlines = (RuleInline,)
    exclude = ("tenant", "id")

    @admin.display(boolean=True, description="In force")
    def in_force(self, row: PolicyVersion) -> bool:
        """Say whether this is the version by which calls are judged now."""
        return Tenant.objects.filter(pk=row.tenant_id, policy_version_id=row.pk).exists()


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnly):
    """Who did what, the newest first."""

    list_display = ("at", "actor", "action", "subject")
    list_display_links = ("at", "action")
    list_filter = ("action",)
    search_fields = ("actor", "subject", "action")
    ordering = ("-id",)


@admin.register(Tenant)
class TenantAdmin(ReadOnly):
    """The tenant at work; others are not shown."""

    list_display = ("name", "slug", "policy_version", "created_at")
    exclude = ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Tenant]:
        """Give the current tenant only, also to superusers."""
        rows: QuerySet[Tenant] = super().get_queryset(request)
        tenant = getattr(request, "tenant", None)
        return rows.filter(pk=tenant.id) if tenant is not None else rows.none()
