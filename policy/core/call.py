"""One call as policy sees it: what is asked, by whom, from where, at what price."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from policy.core.json import JsonObject, digest
from policy.core.provenance import UNKNOWN, Provenance


class EffectClass(StrEnum):
    """What may be done about a call whose outcome nobody knows.

    READ changes nothing and may be asked again; IDEMPOTENT honours the key it is
    given, so asking again changes nothing more; ONCE must never be asked again
    without somebody finding out first.
    """

    READ = "read"
    IDEMPOTENT = "idempotent"
    ONCE = "once"


class Risk(StrEnum):
    """How bad a wrong call can be."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class Autonomy(StrEnum):
    """How far an agent version may go by itself: a ceiling over whatever the rules allow."""

    OBSERVE = "observe"
    SUGGEST = "suggest"
    ACT_WITH_APPROVAL = "act_with_approval"
    ACT_WITHIN_LIMITS = "act_within_limits"
    ACT = "act"

    @classmethod
    def least(cls, levels: Iterable[Autonomy]) -> Autonomy:
        """Give the strictest of these, ACT where there are none."""
        order = list(cls)
        return min(levels, key=order.index, default=cls.ACT)


class Facts(dict[str, Any]):
    """The names that conditions may use; in `kept` they leave what they made of them."""

    __slots__ = ("kept",)

    def __init__(self, known: Mapping[str, Any]) -> None:
        super().__init__(known)
        self.kept: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """On whose behalf something is asked for."""

    id: str
    name: str
    roles: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRequest:
    """One call that an agent wants to make, as policy sees it.

    `granted` says whether the agent version was given this tool at all: without
    a grant no rule is asked. `egress`: the tool sends data out. `reversible` is None where
    nobody declared it. `tenant` is its short name; `at` is aware and in UTC. `cost` is the
    call's worst case; `spent` and `calls` are what the run has spent and how many tool calls
    it has begun, as of its claim and by the asking task since: sibling tasks that call at the
    same moment are not among them (budgets bound those). `provenance` tells where
    the arguments' values came from, and the worst where nobody looked. `signals` are what was
    measured of the call for the triggers of rules (`policy.core.rules.triggers`).
    """

    tool: str
    version: str
    arguments: JsonObject
    effect: EffectClass
    agent: str
    principal: Principal
    risk: Risk = Risk.LOW
    granted: bool = True
    egress: bool = False
    reversible: bool | None = None
    agent_version: str = ""
    autonomy: Autonomy = Autonomy.ACT
    tenant: str = ""
    environment: str = ""
    at: datetime | None = None
    cost: Decimal = Decimal(0)
    spent: Decimal = Decimal(0)
    calls: int = 0
    provenance: Provenance = UNKNOWN
    signals: Mapping[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Bind a decision to exactly this tool, version and arguments."""
        return digest(self.tool, self.version, dict(self.arguments))

    @property
    def acts(self) -> bool:
        """Say whether it changes state or sends data out."""
        return self.egress or self.effect is not EffectClass.READ

    def facts(self) -> Facts:
        """Give the names that conditions may use."""
        known = {
            "tool": self.tool,
            "args": dict(self.arguments),
            "effect": self.effect.value,
            "risk": self.risk.value,
            "egress": self.egress,
            "reversible": self.reversible is True,
            "agent": self.agent,
            "agent_version": self.agent_version,
            "autonomy": self.autonomy.value,
            "tenant": self.tenant,
            "environment": self.environment,
            "at": self.at,
            "cost": float(self.cost),
            "spent": float(self.spent),
            "calls": self.calls,
            "principal": {
                "id": self.principal.id,
                "name": self.principal.name,
                "roles": list(self.principal.roles),
                "scopes": list(self.principal.scopes),
            },
            **self.provenance.facts(),
        }
        return Facts(known)
