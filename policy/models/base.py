"""What every tenant's row has: its tenant, and managers that insist on one."""

from __future__ import annotations

from typing import Any, ClassVar, Self, TypeVar

from django.db import models

from policy import tenancy

Row = TypeVar("Row", bound=models.Model)


class ScopedManager(models.Manager[Row]):
    """Reads the current scope's rows, and refuses to read outside of one."""

    def get_queryset(self) -> models.QuerySet[Row]:
        """Give this tenant's rows.

        Raises:
            NoTenantScope: no scope is open.
        """
        tenant_id = tenancy.required(self.model.__name__)
        return super().get_queryset().filter(tenant_id=tenant_id)


class TenantRow(models.Model):
    """A row that belongs to one tenant.

    `objects` sees the scope's tenant only. `across` sees whatever row-level security
    lets the connection see: with the system role every tenant's rows, for the sweeper
    and for operators' commands.
    """

    tenant = models.ForeignKey(
        "policy.Tenant", on_delete=models.PROTECT, related_name="+", db_index=False
    )

    objects: ClassVar[ScopedManager[Self]] = ScopedManager()
    across: ClassVar[models.Manager[Self]] = models.Manager()

    class Meta:
        abstract = True
        base_manager_name = "across"
        default_manager_name = "objects"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Store the row, stamping the scope's tenant on a new one."""
        tenant_id = tenancy.current()
        if self._state.adding and tenant_id is not None:
            self.tenant_id = tenant_id
        super().save(*args, **kwargs)
