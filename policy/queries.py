"""Reads of policy, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection


@dataclass(frozen=True, slots=True)
class TenantName:
    """A tenant as a person picks it."""

    id: UUID
    slug: str
    name: str


def tenants_open_to(user: Any) -> list[TenantName]:
    """List the tenants that a signed-in person may work in, by name.

    A superuser may enter all; others those in which they are a principal. Asked
    through a SECURITY DEFINER function, as it looks across tenants.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, slug, name FROM policy_tenants_of_user(%s)", [user.pk])
        return [TenantName(*row) for row in cursor.fetchall()]
