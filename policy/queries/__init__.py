"""Reads of policy, as frozen values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection

from policy.core import keys
from policy.core.actor import Actor
from policy.core.money import Unit
from policy.models import ApiKey, Budget, BudgetRaise, Principal, Role
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
from policy.queries.pages import Page, Position, page_of

__all__ = [
    "ApprovalView",
    "BudgetView",
    "DecisionView",
    "KeyHolder",
    "KeyView",
    "Page",
    "Position",
    "PrincipalView",
    "RaiseView",
    "TenantName",
    "UnitBalance",
    "actor_of_user",
    "approval",
    "approval_view",
    "approvals",
    "budget",
    "budget_view",
    "budgets",
    "budgets_of",
    "decisions_of",
    "holder_of_key",
    "masked_approval",
    "masked_decision",
    "page_of",
    "principals_with_keys",
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
class UnitBalance:
    """One unit of a budget. A limit of None is no limit; then nothing is `left` to count."""

    unit: Unit
    limit: Decimal | None
    spent: Decimal
    reserved: Decimal
    overdraft: Decimal

    @property
    def left(self) -> Decimal | None:
        """Give what may still be reserved."""
        return None if self.limit is None else self.limit - self.spent - self.reserved


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetView:
    """What one scope may spend, has spent, and has set aside."""

    id: UUID
    scope: str
    scope_id: UUID
    version: int
    created_at: datetime
    units: tuple[UnitBalance, ...]

    def __getattr__(self, name: str) -> UnitBalance:
        """Give the balance of a unit by its name."""
        for balance in self.units:
            if balance.unit == name:
                return balance
        raise AttributeError(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class RaiseView:
    """A limit that somebody raised."""

    unit: str
    amount: Decimal
    raised_by: str
    reason: str
    created_at: datetime


def budgets(*, scope: str = "", position: Position | None, limit: int) -> Page[BudgetView]:
    """List the scope's budgets, newest first."""
    rows = Budget.objects.all()
    return page_of(
        rows.filter(scope=scope) if scope else rows, budget_view, position=position, limit=limit
    )


def budget(budget_id: UUID) -> BudgetView | None:
    """Read one budget of the scope's tenant; None where it has no such."""
    row = Budget.objects.filter(pk=budget_id).first()
    return None if row is None else budget_view(row)


def budgets_of(ids: Iterable[UUID]) -> list[BudgetView]:
    """Read several budgets, the narrowest first."""
    rows = Budget.objects.filter(pk__in=list(ids)).order_by("scope", "id")
    return [budget_view(row) for row in rows]


def raises_of(budget_id: UUID) -> list[RaiseView]:
    """List who raised a budget, the newest first."""
    rows = BudgetRaise.objects.filter(budget_id=budget_id).order_by("-created_at", "-id")
    names = [f.name for f in fields(RaiseView)]
    return [RaiseView(**{name: getattr(row, name) for name in names}) for row in rows]


def budget_view(row: Budget) -> BudgetView:
    """Read a row."""
    return BudgetView(
        id=row.id,
        scope=row.scope,
        scope_id=row.scope_id,
        version=row.version,
        created_at=row.created_at,
        units=tuple(_balance(row, unit) for unit in Unit),
    )


def _balance(row: Budget, unit: Unit) -> UnitBalance:
    limit = getattr(row, f"{unit}_limit")
    return UnitBalance(
        unit=unit,
        limit=None if limit is None else Decimal(limit),
        spent=Decimal(getattr(row, f"{unit}_spent")),
        reserved=Decimal(getattr(row, f"{unit}_reserved")),
        overdraft=Decimal(getattr(row, f"{unit}_overdraft")),
    )


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
