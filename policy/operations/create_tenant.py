"""Create a tenant."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final
from uuid import UUID

from django.db import IntegrityError, transaction
from uuid_utils.compat import uuid7

from policy import tenancy
from policy.audit import record
from policy.core.actor import SYSTEM, Actor
from policy.documents import SHIPPED
from policy.errors import PolicyError
from policy.models import Tenant
from policy.operations.policies import activate, create_version

DEFAULT_POLICY: Final = SHIPPED / "default.yaml"
SLUG: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,48}[a-z0-9])?\Z")


class InvalidSlug(PolicyError):  # noqa: N818
    """The slug is not lower-case letters, digits and hyphens; no tenant was created."""


class SlugTaken(PolicyError):  # noqa: N818
    """Another tenant has this slug; no tenant was created."""


def create_tenant(
    slug: str, name: str, *, policy: Path | None = DEFAULT_POLICY, by: Actor = SYSTEM
) -> UUID:
    """Create a tenant with a policy in force: the default one, or another file's.

    Without any (None) everything is denied until it gets one.

    Raises:
        InvalidSlug: the slug cannot stand in addresses and commands.
        SlugTaken: it is another tenant's.
        InvalidPolicy, OSError: the policy cannot be used; no tenant was created.
    """
    if not SLUG.match(slug):
        raise InvalidSlug(f"{slug!r} must be lower-case letters, digits and hyphens, at most 50")
    tenant_id = uuid7()
    try:
        with tenancy.scope(tenant_id), transaction.atomic():
            Tenant.objects.create(id=tenant_id, slug=slug, name=name)
            record(by, "tenant.create", f"tenant/{tenant_id}", {"slug": slug, "name": name})
            if policy is not None:
                note = "what a tenant begins with"
                activate(create_version(policy.read_bytes(), note=note, by=by), by=by)
    except IntegrityError as error:
        if "slug" not in str(error):
            raise
        raise SlugTaken(f"there is a tenant {slug!r} already") from None
    return tenant_id
