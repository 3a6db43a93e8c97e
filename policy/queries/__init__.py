"""Reads of policy, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from policy.core import keys
from policy.core.actor import Actor
from policy.models import ApiKey, Principal, Role
from policy.queries.approvals import (
    ApprovalView,
    DecisionView,
    approval,
    approval_view,
    approvals,
    decisions_of,
    masked_approval,
    masked_decision,
    queue_figures,
)
from policy.queries.budgets import (
    AlertView,
    BudgetView,
    PeriodView,
    ProposalView,
    RaiseView,
    UnitBalance,
    alerts_of,
    alone,
    balance_of,
    budget,
    budget_view,
    budgets,
    budgets_of,
    forecasts,
    periods_of,
    proposals_of,
    raises_of,
)
from policy.queries.pages import Page, Position, page_of

__all__ = [
    "AlertView",
    "ApprovalView",
    "BudgetView",
    "DecisionView",
    "KeyHolder",
    "KeyView",
    "Page",
    "PeriodView",
    "Position",
    "PrincipalView",
    "ProposalView",
    "RaiseView",
    "TenantName",
    "UnitBalance",
    "actor_of_user",
    "alerts_of",
    "alone",
    "approval",
    "approval_view",
    "approvals",
    "balance_of",
    "budget",
    "budget_view",
    "budgets",
    "budgets_of",
    "decisions_of",
    "forecasts",
    "holder_of_key",
    "masked_approval",
    "masked_decision",
    "page_of",
    "periods_of",
    "principals_with_keys",
    "proposals_of",
    "queue_figures",
    "raises_of",
    "tenant_by_slug",
    "tenants_open_to",
]


@dataclass(frozen=True, slots=True)
class TenantName:
    """A tenant as a person picks it."""

    id: UUID
    slug: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyHolder:
    """Whom an API key acts for, and whether it still may."""

    tenant_id: UUID
    tenant_slug: str
    actor: Actor
    expired: bool
    revoked: bool


def tenants_open_to(user: Any) -> list[TenantName]:
    """List the tenants that a signed-in person may work in, by name.

    A superuser may enter all; others those in which they are a principal. Asked
    through a SECURITY DEFINER function, as it looks across tenants.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, slug, name FROM policy_tenants_of_user(%s)", [user.pk])
        return [TenantName(*row) for row in cursor.fetchall()]


def holder_of_key(secret: str) -> KeyHolder | None:
    """Find whom a key acts for, in whichever tenant; None for what is no key of ours.

    A malformed key costs no query. Asked through a SECURITY DEFINER function, as no
    tenant is known before the key is.
    """
    if not keys.is_well_formed(secret):
        return None
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tenant_id, tenant_slug, principal_id, principal_name, roles, is_person,"
            " expired, revoked FROM policy_lookup_key(%s)",
            [keys.hashed(secret)],
        )
        row = cursor.fetchone()
    if row is None:
        return None
    tenant_id, slug, principal_id, name, roles, is_person, expired, revoked = row
    return KeyHolder(
        tenant_id=tenant_id,
        tenant_slug=slug,
        actor=Actor(
            principal_id=str(principal_id),
            name=name,
            kind="user" if is_person else "service",
            roles=tuple(roles),
        ),
        expired=expired,
        revoked=revoked,
    )


def actor_of_user(user: Any) -> Actor:
    """Give a signed-in person as the scope's tenant knows them.

    A superuser acts as the tenant's admin also where they are no principal; anyone
    else who is none may see and do nothing.
    """
    principal = Principal.objects.filter(user_id=user.pk).first()
    name = user.get_username() if principal is None else principal.name
    roles = () if principal is None else tuple(principal.roles)
    if user.is_superuser and Role.ADMIN not in roles:
        roles = (*roles, Role.ADMIN.value)
    return Actor(
        principal_id="" if principal is None else str(principal.id),
        name=name,
        kind="user",
        roles=roles,
    )


def tenant_by_slug(slug: str) -> TenantName | None:
    """Find a tenant by its short name, in either database role; None where there is none.

    Asked through a SECURITY DEFINER function, as no scope is open yet.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, slug, name FROM policy_tenant_of_slug(%s)", [slug])
        row = cursor.fetchone()
    return None if row is None else TenantName(*row)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyView:
    """A key without its secret."""

    id: UUID
    prefix: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PrincipalView:
    """Who may act in a tenant, and with which keys."""

    id: UUID
    name: str
    username: str
    roles: tuple[str, ...]
    groups: tuple[str, ...]
    decides_up_to: str
    keys: tuple[KeyView, ...]


def principals_with_keys() -> list[PrincipalView]:
    """List the scope's principals by name, each with its keys, the newest first."""
    held: dict[UUID, list[KeyView]] = {}
    names = [f.name for f in fields(KeyView)]
    for row in ApiKey.objects.order_by("-created_at"):
        key = KeyView(**{name: getattr(row, name) for name in names})
        held.setdefault(row.principal_id, []).append(key)
    return [
        PrincipalView(
            id=row.id,
            name=row.name,
            username=row.user.get_username() if row.user else "",
            roles=tuple(row.roles),
            groups=tuple(row.groups),
            decides_up_to=row.decides_up_to,
            keys=tuple(held.get(row.id, [])),
        )
        for row in Principal.objects.select_related("user").order_by("name", "id")
    ]
