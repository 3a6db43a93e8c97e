"""May this call happen? Ordered rules over plain values; deny by default.

A rule matches when its tool pattern, its other selectors and its condition all
hold. Rules are asked by falling priority, then by position; the first match
decides. A condition that cannot be evaluated could be true or false, so the stricter
of the two ends counts: a rule that would allow is passed over, one that would deny
denies, and one that would hold for approval holds unless what follows it denies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any

from policy.core.json import JsonObject, digest


class Decision(StrEnum):
    """What a rule says of a call."""

    ALLOW = "allow"
    DENY = "deny"
    REQUIRE_APPROVAL = "require_approval"


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """On whose behalf something is asked for."""

    id: str
    name: str
    roles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRequest:
    """One call that an agent wants to make, as policy sees it.

    `granted` says whether the agent version was given this tool at all: without
    a grant no rule is asked.
    """

    tool: str
    version: str
    arguments: JsonObject
    effect: EffectClass
    agent: str
    principal: Principal
    risk: Risk = Risk.LOW
    granted: bool = True

    @property
    def digest(self) -> str:
        """Bind a decision to exactly this tool, version and arguments."""
        return digest(self.tool, self.version, dict(self.arguments))

    def facts(self) -> dict[str, Any]:
        """Give the names that conditions may use."""
        return {
            "tool": self.tool,
            "args": dict(self.arguments),
            "effect": self.effect.value,
            "risk": self.risk.value,
            "agent": self.agent,
            "principal": {"id": self.principal.id, "roles": list(self.principal.roles)},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalTerms:
    """How long a person has, and what happens if nobody answers."""

    expires_after: timedelta = timedelta(hours=24)


Condition = Callable[[Mapping[str, Any]], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One line of a policy."""

    name: str
    decision: Decision
    tools: str = "*"
    effects: frozenset[EffectClass] = frozenset()
    agents: str = "*"
    condition: Condition | None = None
    priority: int = 0
    position: int = 0
    reason: str = ""
    terms: ApprovalTerms = field(default_factory=ApprovalTerms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """One version of a tenant's rules, in the order they are asked."""

    version: str
    rules: tuple[Rule, ...]

    @staticmethod
    def of(version: str, rules: Iterable[Rule]) -> Policy:
        ordered = sorted(rules, key=lambda rule: (-rule.priority, rule.position))
        return Policy(version=version, rules=tuple(ordered))


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The decision, the rule that made it, and under which policy version."""

    decision: Decision
    rule: str
    reason: str
    policy_version: str
    terms: ApprovalTerms = field(default_factory=ApprovalTerms)


def decide(policy: Policy, request: CallRequest) -> Verdict:
    """Judge a call by the first rule that matches it; without one it is denied."""
    if not request.granted:
        reason = f"{request.tool} is not granted to agent {request.agent}"
        return _denied(policy, reason)
    doubtful: Verdict | None = None
    for rule in policy.rules:
        held = _matches(rule, request)
        if held is True or (held is None and rule.decision is Decision.DENY):
            return _stricter(_by_rule(policy, rule), doubtful)
        if held is None and rule.decision is Decision.REQUIRE_APPROVAL:
            doubtful = doubtful or _by_rule(policy, rule)
    return _denied(policy, f"no rule allows {request.tool}: what no rule allows is denied")


def _stricter(verdict: Verdict, doubtful: Verdict | None) -> Verdict:
    if doubtful is None or verdict.decision is Decision.DENY:
        return verdict
    return doubtful


def _by_rule(policy: Policy, rule: Rule) -> Verdict:
    return Verdict(
        decision=rule.decision,
        rule=rule.name,
        reason=rule.reason or f"rule {rule.name}",
        policy_version=policy.version,
        terms=rule.terms,
    )


def _denied(policy: Policy, reason: str) -> Verdict:
    return Verdict(decision=Decision.DENY, rule="", reason=reason, policy_version=policy.version)


def _matches(rule: Rule, request: CallRequest) -> bool | None:
    """Say whether a rule is about this call; None when its condition cannot tell."""
    if not (
        fnmatchcase(request.tool, rule.tools)
        and fnmatchcase(request.agent, rule.agents)
        and (not rule.effects or request.effect in rule.effects)
    ):
        return False
    if rule.condition is None:
        return True
    try:
        held: object = rule.condition(request.facts())
    except Exception:  # noqa: BLE001 - foreign expressions: whatever goes wrong, fail closed
        return None
    return held if isinstance(held, bool) else None
