"""Tenancy below the code: nothing reads or writes a tenant's rows without a scope.

    with scope(tenant_id):          # one transaction, bound to one tenant
        Run.objects.filter(...)     # this tenant's rows, by manager and by row-level security

The scope is a transaction, because its setting must end with it: a setting left on
a pooled connection would hand the next request somebody else's rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from uuid import UUID

from django.db import connection, transaction

from policy.errors import NoTenantScope

_current: ContextVar[UUID | None] = ContextVar("agentops_tenant", default=None)

SETTING = "agentops.tenant_id"


def current() -> UUID | None:
    """Give the tenant of the scope that this code runs in, or None outside of any."""
    return _current.get()


def required(rows: str) -> UUID:
    """Give the tenant of the scope that this code runs in, in order to touch such rows.

    Raises:
        NoTenantScope: no scope is open.
    """
    tenant_id = _current.get()
    if tenant_id is None:
        raise NoTenantScope(rows)
    return tenant_id


@contextmanager
def scope(tenant_id: UUID) -> Iterator[None]:
    """Bind this thread and one database transaction to a tenant.

    A scope inside a scope of the same tenant is a savepoint; of another tenant it
    is refused, because the outer transaction's rows belong to somebody else.

    Raises:
        RuntimeError: a scope of another tenant is open.
    """
    outer = _current.get()
    if outer is not None and outer != tenant_id:
        raise RuntimeError("a scope of another tenant is open; leave it first")
    token = _current.set(tenant_id)
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SELECT set_config(%s, %s, true)", [SETTING, str(tenant_id)])
            yield
    finally:
        _current.reset(token)
