"""Say what is known of a remote tool, which its server is not believed about."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from policy import tenancy
from policy.core.actor import SYSTEM, Actor
from policy.core.decide import EffectClass, Risk
from policy.errors import NoTenantScope
from policy.models import AuditEvent
from tools import catalogue
from tools.errors import InvalidTool, UnknownTool
from tools.models import RemoteTool


def declare(
    name: str,
    *,
    effect: EffectClass | str | None = None,
    risk: Risk | str | None = None,
    timeout: float | None = None,
    enabled: bool | None = None,
    by: Actor = SYSTEM,
) -> None:
    """Change what counts for a remote tool of the scope's tenant; leave out what stays.

    Raises:
        UnknownTool: the tenant has no remote tool of that name.
        InvalidTool: a value is none of those known; nothing was changed.
    """
    tenant_id = tenancy.current()
    if tenant_id is None:
        raise NoTenantScope("RemoteTool")
    changes = _changes(name, effect, risk, timeout)
    if enabled is not None:
        changes["enabled"] = enabled
    with transaction.atomic():
        row = RemoteTool.objects.filter(name=name).first()
        if row is None:
            raise UnknownTool(name)
        if changes:
            RemoteTool.objects.filter(pk=row.pk).update(**changes)
            AuditEvent.objects.create(
                actor=by.name, action="tool.declare", subject=f"tool/{name}", detail=changes
            )
    catalogue.forget(tenant_id)


def _changes(
    name: str, effect: str | None, risk: str | None, timeout: float | None
) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    try:
        if effect is not None:
            changes["effect"] = EffectClass(effect).value
        if risk is not None:
            changes["risk"] = Risk(risk).value
    except ValueError as error:
        raise InvalidTool(f"tool {name}: {error}") from error
    if timeout is not None:
        if timeout <= 0:
            raise InvalidTool(f"tool {name}: its timeout must be above 0 seconds")
        changes["timeout_seconds"] = timeout
    return changes
