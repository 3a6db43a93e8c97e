"""Store a version of a policy, edit it while it is a draft, and put one in force."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from django.db import transaction
from django.db.models import Max
from django.utils import timezone
from uuid_utils.compat import uuid7

from policy import documents
from policy.audit import record
from policy.core.actor import SYSTEM, Actor
from policy.documents import PolicyDocument, RuleDocument
from policy.errors import PolicyChanged, PolicyNotDraft
from policy.models import PolicyRule, PolicyVersion, Tenant
from policy.selecting import Selecting


def create_version(
    document: str | bytes | Mapping[str, Any], *, note: str = "", by: Actor = SYSTEM
) -> UUID:
    """Store a policy document as the scope's tenant's next version; nothing is judged by it yet.

    Raises:
        InvalidPolicy: the document cannot be used; nothing was stored.
    """
    read = documents.read(document)
    with transaction.atomic():
        tenant = Tenant.locked()
        last = PolicyVersion.objects.aggregate(last=Max("number"))["last"] or 0
        version = PolicyVersion.objects.create(
            id=uuid7(),
            number=last + 1,
            note=note[:500],
            created_by=by.name,
            answers=read.answers.written(),
        )
        PolicyRule.objects.bulk_create(_rows(tenant, version, read))
        record(
            by,
            "policy.create",
            f"policy/{version.id}",
            {"number": version.number, "rules": len(read.rules), "note": version.note},
        )
    return version.id


def edit_draft(
    version_id: UUID,
    document: str | bytes | Mapping[str, Any],
    *,
    revision: int | None = None,
    note: str | None = None,
    by: Actor = SYSTEM,
) -> None:
    """Replace the rules of a draft; `revision` is the one that was read, where one was.

    Raises:
        InvalidPolicy: the document cannot be used.
        PolicyNotDraft: the version was in force.
        PolicyChanged: it was edited since.
        PolicyVersion.DoesNotExist: the tenant has no such version. Nothing was changed.
    """
    read = documents.read(document)
    with transaction.atomic():
        tenant = Tenant.locked()
        version = PolicyVersion.objects.get(pk=version_id)
        _check(version, revision)
        if version.activated_at is not None:
            raise PolicyNotDraft(version.number)
        PolicyRule.objects.filter(policy=version).delete()
        PolicyRule.objects.bulk_create(_rows(tenant, version, read))
        PolicyVersion.objects.filter(pk=version.id).update(
            revision=version.revision + 1,
            edited_at=timezone.now(),
            edited_by=by.name,
            answers=read.answers.written(),
            note=version.note if note is None else note[:500],
        )
        record(
            by,
            "policy.edit",
            f"policy/{version.id}",
            {"number": version.number, "rules": len(read.rules), "revision": version.revision + 1},
        )


def _check(version: PolicyVersion, revision: int | None) -> None:
    if revision is not None and version.revision != revision:
        raise PolicyChanged(
            f"policy {version.number} is at revision {version.revision}, not {revision}"
        )


def activate(
    version_id: UUID, *, reason: str = "", revision: int | None = None, by: Actor = SYSTEM
) -> None:
    """Judge every call of the scope's tenant by this version from now on.

    An older version may be put in force again. Nothing happens when it already is. `reason`
    goes into the audit log; `revision` is the one that was read, where one was.

    Raises:
        PolicyChanged: the draft was edited since it was read; nothing was changed.
        PolicyVersion.DoesNotExist: the tenant has no such version.
    """
    with transaction.atomic():
        tenant = Tenant.locked()
        version = PolicyVersion.objects.get(pk=version_id)
        _check(version, revision)
        before = tenant.policy_version_id
        if before == version.id:
            return
        PolicyVersion.objects.filter(pk=version.id, activated_at=None).update(
            activated_at=timezone.now()
        )
        Tenant.objects.filter(pk=tenant.id).update(policy_version=version)
        record(
            by,
            "policy.activate",
            f"policy/{version.id}",
            {
                "number": version.number,
                "before": str(before) if before else None,
                "reason": reason[:500],
            },
        )


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
            selectors=_selectors(rule),
            condition=rule.when,
            reason=rule.reason,
            expires_after=rule.expires_after,
            approval=rule.approval.written(),
        )
        for position, rule in enumerate(document.rules)
    ]


_COLUMNS: Final = {"name", "decision", "tools", "agents", "effects", "when", "priority", "reason"}


def _selectors(rule: RuleDocument) -> dict[str, Any]:
    """Give what a rule asks that has no column of its own, as it would be written."""
    asked = Selecting.model_fields.keys() - _COLUMNS
    return {name: value for name, value in rule.written().items() if name in asked}
