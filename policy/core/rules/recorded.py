"""A call's facts as the ledger keeps them, so that it can be judged again as it was.

The arguments stand in the effect's request, once; everything else that a verdict was made
from stands in its decision, under `facts`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from policy.core.call import Autonomy, CallRequest, EffectClass, Principal, Risk
from policy.core.json import JsonObject
from policy.core.provenance import from_json


def facts_of(request: CallRequest) -> JsonObject:
    """Give everything that a verdict on this call is made from, but its name and arguments."""
    who = request.principal
    return {
        "version": request.version,
        "effect": request.effect.value,
        "risk": request.risk.value,
        "egress": request.egress,
        "reversible": request.reversible,
        "granted": request.granted,
        "agent": request.agent,
        "agent_version": request.agent_version,
        "autonomy": request.autonomy.value,
        "tenant": request.tenant,
        "environment": request.environment,
        "at": None if request.at is None else request.at.isoformat(),
        "cost": str(request.cost),
        "spent": str(request.spent),
        "calls": request.calls,
        "signals": dict(request.signals),
        "principal": {
            "id": who.id,
            "name": who.name,
            "roles": list(who.roles),
            "scopes": list(who.scopes),
        },
        "provenance": request.provenance.to_json(),
    }


def request_of(tool: str, arguments: JsonObject, facts: Mapping[str, Any]) -> CallRequest:
    """Build the call again that these facts were taken from.

    Raises:
        KeyError, ValueError: the facts are not those of a call.
    """
    who, at = facts["principal"], facts.get("at")
    return CallRequest(
        tool=tool,
        version=facts["version"],
        arguments=arguments,
        effect=EffectClass(facts["effect"]),
        risk=Risk(facts["risk"]),
        egress=facts["egress"],
        reversible=facts["reversible"],
        granted=facts["granted"],
        agent=facts["agent"],
        agent_version=facts["agent_version"],
        autonomy=Autonomy(facts["autonomy"]),
        tenant=facts["tenant"],
        environment=facts["environment"],
        at=None if at is None else datetime.fromisoformat(at),
        cost=Decimal(facts["cost"]),
        spent=Decimal(facts["spent"]),
        calls=facts["calls"],
        signals=facts.get("signals", {}),
        principal=Principal(
            id=who["id"],
            name=who["name"],
            roles=tuple(who["roles"]),
            scopes=tuple(who.get("scopes", ())),
        ),
        provenance=from_json(facts.get("provenance")),
    )
