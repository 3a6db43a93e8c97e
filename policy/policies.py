"""The policy that a call is judged by: a version's rows, compiled once per process."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from policy import conditions, tenancy
from policy.conditions import ConditionFailed
from policy.core.decide import ApprovalTerms, Condition, Decision, EffectClass, Policy, Rule
from policy.errors import InvalidPolicy, NoTenantScope
from policy.models import PolicyRule, PolicyVersion, Tenant

DENY_EVERYTHING: Final = Policy(version="", rules=())
MOST_COMPILED: Final = 512

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
    """Give one version of the scope's tenant. Versions never change, so it is read once.

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
        policy = _compiled[key] = Policy.of(str(version_id), rules)
        if len(_compiled) > MOST_COMPILED:
            _compiled.popitem(last=False)
    return policy


def _tenant() -> UUID:
    tenant_id = tenancy.current()
    if tenant_id is None:
        raise NoTenantScope("PolicyVersion")
    return tenant_id


def _rule(row: PolicyRule) -> Rule:
    wait = row.expires_after
    return Rule(
        name=row.name,
        decision=Decision(row.decision),
        tools=row.tools,
        agents=row.agents,
        effects=frozenset(EffectClass(effect) for effect in row.effects),
        condition=_condition(row.condition),
        priority=row.priority,
        position=row.position,
        reason=row.reason,
        terms=ApprovalTerms() if wait is None else ApprovalTerms(expires_after=wait),
    )


def _condition(expression: str) -> Condition | None:
    """Compile a stored condition. One that no longer compiles can never be told to hold."""
    if not expression:
        return None
    try:
        return conditions.compiled(expression)
    except InvalidPolicy as error:
        return _unusable(error.detail)


def _unusable(why: str) -> Condition:
    def condition(_facts: Mapping[str, Any]) -> bool:
        raise ConditionFailed(why)

    return condition
