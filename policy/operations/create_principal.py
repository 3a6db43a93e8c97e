"""Create a principal: somebody or something that acts in a tenant."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from uuid_utils.compat import uuid7

from policy.audit import record
from policy.core.actor import SYSTEM, Actor
from policy.errors import PolicyError
from policy.models import Principal, Role


class UnknownRole(PolicyError):  # noqa: N818
    """A role was named that nobody can have; nothing was stored."""


def create_principal(
    name: str,
    roles: Sequence[str],
    *,
    scopes: Sequence[str] = (),
    user_id: int | None = None,
    by: Actor = SYSTEM,
) -> UUID:
    """Create a principal in the scope's tenant; with `user_id`, for a person who signs in.

    `scopes` are the words that policy rules ask of whoever started a run. A person has one
    principal per tenant: asked again, the roles and scopes are replaced.

    Raises:
        UnknownRole: one of the roles is none.
    """
    if unknown := sorted(set(roles) - set(Role.values)):
        raise UnknownRole(f"{', '.join(unknown)}: roles are {', '.join(Role.values)}")
    fields = {"name": name, "roles": sorted(set(roles)), "scopes": sorted(set(scopes))}
    if user_id is None:
        principal = Principal.objects.create(id=uuid7(), **fields)
    else:
        principal, _ = Principal.objects.update_or_create(
            user_id=user_id, defaults=fields, create_defaults={"id": uuid7(), **fields}
        )
    record(by, "principal.create", f"principal/{principal.id}", fields)
    return principal.id
