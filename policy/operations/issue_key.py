"""Issue an API key, whose secret is shown once and never stored."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from uuid_utils.compat import uuid7

from policy.audit import record
from policy.core import keys
from policy.core.actor import SYSTEM, Actor
from policy.models import ApiKey, Principal


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A new key and its secret, which nobody can see again."""

    id: UUID
    secret: str


def issue_key(
    principal_id: UUID,
    *,
    live: bool = False,
    expires_at: datetime | None = None,
    by: Actor = SYSTEM,
) -> IssuedKey:
    """Issue a key that acts as a principal of the scope's tenant; only its hash is stored.

    Raises:
        Principal.DoesNotExist: this tenant has no such principal.
    """
    principal = Principal.objects.get(pk=principal_id)
    chance = "".join(secrets.choice(keys.ALPHABET) for _ in range(keys.SECRET_LENGTH))
    secret = keys.compose(keys.LIVE if live else keys.TEST, chance)
    key = ApiKey.objects.create(
        id=uuid7(),
        principal=principal,
        prefix=keys.visible_part(secret),
        hash=keys.hashed(secret),
        expires_at=expires_at,
    )
    record(
        by,
        "api_key.issue",
        f"api_key/{key.id}",
        {"principal": str(principal.id), "prefix": key.prefix},
    )
    return IssuedKey(id=key.id, secret=secret)
