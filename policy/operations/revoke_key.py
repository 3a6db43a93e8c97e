"""Revoke an API key."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from policy.audit import record
from policy.core.actor import SYSTEM, Actor
from policy.models import ApiKey


def revoke_key(key_id: UUID, *, now: datetime, by: Actor = SYSTEM) -> bool:
    """End a key of the scope's tenant at once; say whether it was still good until now."""
    revoked = ApiKey.objects.filter(pk=key_id, revoked_at=None).update(revoked_at=now)
    if revoked:
        record(by, "api_key.revoke", f"api_key/{key_id}", {})
    return bool(revoked)
