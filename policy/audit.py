"""Write the audit log: in the transaction that does what it records, or not at all."""

from __future__ import annotations

from policy.core.actor import Actor
from policy.core.json import JsonObject
from policy.models import AuditEvent


def record(actor: Actor, action: str, subject: str, detail: JsonObject | None = None) -> None:
    """Record one fact in the open scope's transaction."""
    AuditEvent(actor=str(actor), action=action, subject=subject, detail=detail or {}).save(
        force_insert=True
    )
