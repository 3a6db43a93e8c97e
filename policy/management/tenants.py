"""Which tenant a command is about."""

from __future__ import annotations

from django.core.management.base import CommandError

from policy.models import Tenant
from policy.queries import TenantName, tenant_by_slug


def named_tenant(slug: str) -> TenantName:
    """Find the tenant that somebody named on the command line.

    Raises:
        CommandError: there is none.
    """
    tenant = tenant_by_slug(slug)
    if tenant is None:
        raise CommandError(f"there is no tenant {slug!r}; `manage.py tenant list` shows them")
    return tenant


def all_tenants() -> list[TenantName]:
    """List the tenants by their slugs; only the system role sees them."""
    rows = Tenant.objects.order_by("slug").values_list("id", "slug", "name")
    return [TenantName(*row) for row in rows]
