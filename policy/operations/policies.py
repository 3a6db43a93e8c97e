"""Store a version of a policy, and put one in force. A stored version is never edited."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Max
from django.utils import timezone
from uuid_utils.compat import uuid7

from policy import documents, tenancy
from policy.core.actor import SYSTEM, Actor
from policy.documents import PolicyDocument
from policy.errors import NoTenantScope
from policy.models import AuditEvent, PolicyRule, PolicyVersion, Tenant


def create_version(
    document: str | bytes | Mapping[str, Any], *, note: str = "", by: Actor = SYSTEM
) -> UUID:
    """Store a policy document as the scope's tenant's next version; nothing is judged by it yet.

    Raises:
        InvalidPolicy: the document cannot be used; nothing was stored.
    """
    read = documents.read(document)
    with transaction.atomic():
        tenant = _locked_tenant()
        last = PolicyVersion.objects.aggregate(last=Max("number"))["last"] or 0
        version = PolicyVersion.objects.create(
            id=uuid7(), number=last + 1, note=note[:500], created_by=by.name
        )
        PolicyRule.objects.bulk_create(_rows(tenant, version, read))
        AuditEvent.objects.create(
            actor=by.name,
            action="policy.create",
            subject=f"policy/{version.id}",
            detail={"number": version.number, "rules": len(read.rules), "note": version.note},
        )
    return version.id


def activate(version_id: UUID, *, by: Actor = SYSTEM) -> None:
    """Judge every call of the scope's tenant by this version from now on.

    An older version may be put in force again. Nothing happens when it already is.

    Raises:
        PolicyVersion.DoesNotExist: the tenant has no such version.
    """
    with transaction.atomic():
        tenant = _locked_tenant()
        version = PolicyVersion.objects.get(pk=version_id)
        before = tenant.policy_version_id
        if before == version.id:
            return
        PolicyVersion.objects.filter(pk=version.id, activated_at=None).update(
            activated_at=timezone.now()
        )
        Tenant.objects.filter(pk=tenant.id).update(policy_version=version)
        AuditEvent.objects.create(
            actor=by.name,
            action="policy.activate",
            subject=f"policy/{version.id}",
            detail={"number": version.number, "before": str(before) if before else None},
        )


def _locked_tenant() -> Tenant:
    """Lock the tenant's row: versions are numbered, and put in force, one after another."""
    tenant_id = tenancy.current()
    if tenant_id is None:
        raise NoTenantScope("PolicyVersion")
    return Tenant.objects.select_for_update(no_key=True).get(pk=tenant_id)


def _rows(tenant: Tenant, version: PolicyVersion, document: PolicyDocument) -> list[PolicyRule]:
    return [
        PolicyRule(
            tenant=tenant,
            policy=version,
            position=position,
            priority=rule.priority,
            name=rule.name,
            decision=rule.decision.value,
            tools=rule.tools,
            agents=rule.agents,
            effects=[effect.value for effect in rule.effects],
            condition=rule.when,
            reason=rule.reason,
            expires_after=rule.expires_after,
        )
        for position, rule in enumerate(document.rules)
    ]
