"""The policy that a call is judged by: a version's rows, compiled once per process."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import Final
from uuid import UUID

from pydantic import ValidationError

from policy import tenancy
from policy.approving import AnswersDocument
from policy.conditions import unusable
from policy.core.rules.approvals import ANSWERS, ApprovalTerms
from policy.core.rules.decide import Decision, Policy, Rule
from policy.documents import STORED, PolicyDocument, RuleDocument, compiled
from policy.errors import InvalidPolicy
from policy.models import PolicyRule, PolicyVersion, Tenant

DENY_EVERYTHING: Final = Policy(version="", rules=())
MOST_COMPILED: Final = 512
NOBODYS: Final = ""
"""A group that nobody can be in: groups have names."""

_compiled: OrderedDict[tuple[UUID, UUID], Policy] = OrderedDict()


def active() -> Policy:
    """Give the policy in force in the open scope's tenant; without one, deny everything.

    Costs one query, and another when this process meets a version for the first time.

    Raises:
        NoTenantScope: no scope is open.
    """
    tenant_id = _tenant()
    version_id = (
        Tenant.objects.filter(pk=tenant_id).values_list("policy_version_id", flat=True).first()
    )
    return of_version(version_id)


def of_version(version_id: UUID | None) -> Policy:
    """Give one version of the scope's tenant; one that was ever active is read once.

    Raises:
        PolicyVersion.DoesNotExist: the tenant has no such version.
        NoTenantScope: no scope is open.
    """
    if version_id is None:
        return DENY_EVERYTHING
    key = (_tenant(), version_id)
    policy = _compiled.get(key)
    if policy is None:
        version = PolicyVersion.objects.get(pk=version_id)
        rules = [_rule(row) for row in version.rules.all()]
        policy = Policy.of(str(version_id), rules, _terms(version))
        if version.activated_at is None:
            return policy
        _compiled[key] = policy
        if len(_compiled) > MOST_COMPILED:
            _compiled.popitem(last=False)
    return policy


def _tenant() -> UUID:
    return tenancy.required("PolicyVersion")


def document_of(version: PolicyVersion) -> PolicyDocument:
    """Give a stored version as the document that it was read from.

    Raises:
        InvalidPolicy: a row holds what this code cannot read.
    """
    rows = version.rules.order_by("position")
    return PolicyDocument(tuple(_written(row) for row in rows), _answers(version))


def _answers(version: PolicyVersion) -> AnswersDocument:
    try:
        return AnswersDocument.model_validate(version.answers)
    except ValidationError as error:
        raise InvalidPolicy(f"`answers` cannot be read: {error.title}") from error


def _terms(version: PolicyVersion) -> ApprovalTerms:
    """Read who decides about answers. Where this code cannot read it nobody does."""
    try:
        return _answers(version).terms()
    except InvalidPolicy:
        return replace(ANSWERS, groups=(NOBODYS,))


def _written(row: PolicyRule) -> RuleDocument:
    given = {
        "name": row.name,
        "decision": row.decision,
        "tools": row.tools,
        "agents": row.agents,
        "effects": row.effects,
        "when": row.condition,
        "priority": row.priority,
        "reason": row.reason,
        **({} if row.expires_after is None else {"expires_after": row.expires_after}),
        **({"approval": row.approval} if row.approval else {}),
        **row.selectors,
    }
    try:
        return RuleDocument.model_validate(given, context=STORED)
    except ValidationError as error:
        raise InvalidPolicy(f"rule {row.name!r} cannot be read: {error.title}") from error


def _rule(row: PolicyRule) -> Rule:
    """Compile a row. One that this code cannot read can never be told to match, or not to."""
    try:
        return compiled(row.position, _written(row))
    except InvalidPolicy:
        return Rule(
            name=row.name,
            decision=Decision(row.decision),
            condition=unusable(f"rule {row.name!r} cannot be read"),
            priority=row.priority,
            position=row.position,
        )
