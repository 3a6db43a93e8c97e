"""Explanations of verdicts, and backtests, as they are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.conf import settings

from policy.core.call import Autonomy, CallRequest, EffectClass, Principal, Risk
from policy.core.rules.decide import Policy
from policy.core.rules.explain import Explanation, explain
from policy.models import PolicyVersion, Tenant
from policy.policies import of_version
from policy.versions import PolicyView, policy_version
from runs.errors import UnknownPolicy
from runs.models import Backtest
from runs.queries.judged import judged_call
from tools import catalogue
from tools.core.spec import ToolSpec
from tools.errors import UnknownTool

MASK: Final = "•••"


def known_policy(policy_id: UUID | None) -> PolicyView:
    """Read a policy version, None for the one in force; raises UnknownPolicy."""
    try:
        return policy_version(policy_id)
    except PolicyVersion.DoesNotExist:
        raise UnknownPolicy("policy", str(policy_id or "in force")) from None


def known_backtest(policy_id: UUID, backtest_id: UUID) -> Backtest:
    """Read a backtest of a policy; raises UnknownPolicy."""
    row = Backtest.objects.filter(pk=backtest_id, policy_id=policy_id).first()
    if row is None:
        raise UnknownPolicy("backtest", str(backtest_id))
    return row


def backtests_of(policy_id: UUID, *, limit: int) -> list[Backtest]:
    """List a policy version's backtests, newest first."""
    return list(Backtest.objects.filter(policy_id=policy_id).order_by("-created_at")[:limit])


def explained(
    *,
    policy_id: UUID | None,
    call: Mapping[str, Any] | None,
    effect: str,
    masked: bool,
    now: datetime,
) -> dict[str, Any]:
    """Explain what a version makes of a hypothetical call, or of the recorded one at a place.

    Raises:
        UnknownPolicy: there is no such version, or no such recorded call.
    """
    view = known_policy(policy_id)
    policy: Policy = of_version(view.id)
    recorded = None
    if call is None:
        found = judged_call(effect)
        if found is None:
            raise UnknownPolicy("recorded call", effect)
        request = found.request
        recorded = {"decision": found.decision, "rule": found.rule, "complete": found.complete}
    else:
        request = hypothetical(call, now)
    return _plain(explain(policy, request), view, recorded, masked=masked)


def hypothetical(call: Mapping[str, Any], now: datetime) -> CallRequest:
    """Build the call that is asked about; what was left out is the tool's own declaration."""
    spec, who = _spec(call["tool"]), call.get("principal") or {}
    return CallRequest(
        tool=call["tool"],
        version=spec.version,
        arguments=call["arguments"],
        effect=EffectClass(call.get("effect", spec.effect)),
        risk=Risk(call.get("risk", spec.risk)),
        egress=call.get("egress", spec.egress),
        reversible=call.get("reversible", spec.reversible),
        granted=call["granted"],
        agent=call["agent"],
        agent_version=call["agent_version"],
        autonomy=Autonomy(call["autonomy"]),
        tenant=Tenant.objects.values_list("slug", flat=True).get(),
        environment=call.get("environment", settings.ENVIRONMENT),
        at=call.get("at", now),
        cost=call["cost"],
        spent=call["spent"],
        calls=call["calls"],
        principal=Principal(
            id=who.get("id", ""),
            name=who.get("name", ""),
            roles=tuple(who.get("roles", ())),
            scopes=tuple(who.get("scopes", ())),
        ),
    )


def _spec(name: str) -> ToolSpec:
    try:
        return catalogue.find(name)
    except UnknownTool:
        return ToolSpec(name=name, version="", description="", input_schema={})


def _plain(
    explanation: Explanation, view: PolicyView, recorded: Any, *, masked: bool
) -> dict[str, Any]:
    verdict = explanation.verdict
    found = asdict(explanation)
    if masked:
        _mask(found)
    return {
        "decision": verdict.decision.value,
        "rule": verdict.rule,
        "reason": verdict.reason,
        "ceiling": verdict.ceiling,
        "policy": view.id,
        "policy_number": view.number,
        "recorded": recorded,
        "clauses": found["clauses"],
        "rules": found["rules"],
        "changes": found["changes"],
    }


def _mask(found: dict[str, Any]) -> None:
    """Hide what arguments hold; what was asked of them stays."""
    lists = [found["clauses"], *(rule["findings"] for rule in found["rules"])]
    for finding in [
        f for each in [*lists, *(c["missing"] for c in found["changes"])] for f in each
    ]:
        if finding["clause"].startswith(("arguments", "when")):
            finding["seen"] = MASK
