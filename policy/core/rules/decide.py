"""May this call happen? Ordered rules over plain values; deny by default.

A rule matches when its patterns, its selectors and its condition all hold. Rules are
asked by falling priority, then by position; the first match decides. A selector or
condition that cannot be evaluated could be true or false, so the stricter of the two
ends counts: a rule that would allow is passed over, one that would deny
denies, and one that would hold for approval holds unless what follows it denies.

Over the rules stands the agent version's autonomy, as a ceiling: whatever a rule allows,
`ceiling` may hold or deny, and never the other way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any, Final, assert_never

from policy.core.call import Autonomy, CallRequest, EffectClass, Facts, Principal, Risk
from policy.core.rules.approvals import ANSWERS, ApprovalTerms
from policy.core.rules.selectors import Selector
from policy.core.rules.triggers import Fired, fired

__all__ = [
    "ApprovalTerms",
    "Autonomy",
    "CallRequest",
    "Clause",
    "Condition",
    "Decision",
    "EffectClass",
    "Policy",
    "Principal",
    "Risk",
    "Rule",
    "Verdict",
    "ceiling",
    "decide",
]


class Decision(StrEnum):
    """What a rule says of a call."""

    ALLOW = "allow"
    DENY = "deny"
    REQUIRE_APPROVAL = "require_approval"


MOST_KEPT: Final = 4096
"""Tools, agents and effects for which a policy keeps the rules that fit them."""

STRICTNESS: Final = {Decision.ALLOW: 0, Decision.REQUIRE_APPROVAL: 1, Decision.DENY: 2}


Condition = Callable[[Mapping[str, Any]], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """A part of a condition: its text, its truth by itself, and the values that it names."""

    text: str
    holds: Condition
    values: Callable[[Mapping[str, Any]], Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One line of a policy.

    `tools` and `agents` are patterns, or several with spaces between them. `expression` is
    what the condition was compiled from, and `clauses` are its parts, for explanations.
    """

    name: str
    decision: Decision
    tools: str = "*"
    effects: frozenset[EffectClass] = frozenset()
    agents: str = "*"
    selectors: tuple[Selector, ...] = ()
    condition: Condition | None = None
    expression: str = ""
    clauses: tuple[Clause, ...] = ()
    priority: int = 0
    position: int = 0
    reason: str = ""
    terms: ApprovalTerms = field(default_factory=ApprovalTerms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """One version of a tenant's rules, in the order they are asked.

    `answers` are the terms under which a person is asked whether an answer may leave.
    """

    version: str
    rules: tuple[Rule, ...]
    answers: ApprovalTerms = ANSWERS
    _about: dict[tuple[str, str, EffectClass], tuple[Rule, ...]] = field(
        default_factory=dict, compare=False, repr=False
    )

    def about(self, request: CallRequest) -> tuple[Rule, ...]:
        """Give the rules whose patterns and effects fit a call, in the order they are asked.

        What was found for a tool, agent and effect is kept: there are few of them.
        """
        key = (request.tool, request.agent, request.effect)
        found = self._about.get(key)
        if found is None:
            if len(self._about) >= MOST_KEPT:
                self._about.clear()
            found = tuple(rule for rule in self.rules if fits(rule, request))
            self._about[key] = found
        return found

    @staticmethod
    def of(version: str, rules: Iterable[Rule], answers: ApprovalTerms = ANSWERS) -> Policy:
        ordered = sorted(rules, key=lambda rule: (-rule.priority, rule.position))
        return Policy(version=version, rules=tuple(ordered), answers=answers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The decision, the rule that made it, and under which policy version.

    `ceiling` names the agent's autonomy where that, and not the rule, made the decision.
    """

    decision: Decision
    rule: str
    reason: str
    policy_version: str
    ceiling: str = ""
    triggers: tuple[Fired, ...] = ()
    terms: ApprovalTerms = field(default_factory=ApprovalTerms)


def decide(policy: Policy, request: CallRequest) -> Verdict:
    """Judge a call by the first rule that matches it, under its agent's autonomy.

    What no rule matches is denied.
    """
    return _unless_triggered(_under_ceiling(_by_rules(policy, request), request), request)


def _unless_triggered(verdict: Verdict, request: CallRequest) -> Verdict:
    """Hold what is allowed where a trigger of its rule fires."""
    if verdict.decision is not Decision.ALLOW or not verdict.terms.hold_if:
        return verdict
    found = fired(verdict.terms.hold_if, request)
    if not found:
        return verdict
    return replace(
        verdict,
        decision=Decision.REQUIRE_APPROVAL,
        triggers=found,
        reason="; ".join(f"{one.name}: {one.detail}" for one in found),
    )


def _by_rules(policy: Policy, request: CallRequest) -> Verdict:
    if not request.granted:
        reason = f"{request.tool} is not granted to agent {request.agent}"
        return _denied(policy, reason)
    doubtful: Verdict | None = None
    facts: Facts | None = None
    for rule in policy.about(request):
        if facts is None and rule.condition is not None:
            facts = request.facts()
        held = _matches(rule, request, facts)
        if held is True or (held is None and rule.decision is Decision.DENY):
            return _stricter(_by_rule(policy, rule), doubtful)
        if held is None and rule.decision is Decision.REQUIRE_APPROVAL:
            doubtful = doubtful or _by_rule(policy, rule)
    return _denied(policy, f"no rule allows {request.tool}: what no rule allows is denied")


def ceiling(request: CallRequest) -> Decision:
    """Say the most that the agent's autonomy lets become of a call that a rule allows."""
    if not request.acts:
        return Decision.ALLOW
    match request.autonomy:
        case Autonomy.OBSERVE | Autonomy.SUGGEST:
            return Decision.DENY
        case Autonomy.ACT_WITH_APPROVAL:
            return Decision.REQUIRE_APPROVAL
        case Autonomy.ACT_WITHIN_LIMITS:
            is_grave = request.risk in {Risk.HIGH, Risk.CRITICAL} or request.reversible is not True
            return Decision.REQUIRE_APPROVAL if is_grave else Decision.ALLOW
        case Autonomy.ACT:
            return Decision.ALLOW
        case unknown:
            assert_never(unknown)


def _under_ceiling(verdict: Verdict, request: CallRequest) -> Verdict:
    most = ceiling(request)
    if STRICTNESS[most] <= STRICTNESS[verdict.decision]:
        return verdict
    meets = "denied" if most is Decision.DENY else "held for a person"
    return replace(
        verdict,
        decision=most,
        ceiling=request.autonomy.value,
        reason=f"{meets}: agent {request.agent} acts under autonomy {request.autonomy}",
    )


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


def fits(rule: Rule, request: CallRequest) -> bool:
    """Say whether a rule's patterns and effects fit a call; its selectors are not asked."""
    return (
        any(fnmatchcase(request.tool, pattern) for pattern in rule.tools.split())
        and any(fnmatchcase(request.agent, pattern) for pattern in rule.agents.split())
        and (not rule.effects or request.effect in rule.effects)
    )


def _matches(rule: Rule, request: CallRequest, facts: Facts | None) -> bool | None:
    """Say whether a rule that fits a call matches it; None when that cannot be told."""
    told: bool | None = True
    for selector in rule.selectors:
        held = selected(selector, request)
        if held is False:
            return False
        told = told and held
    if rule.condition is None or facts is None:
        return told
    held = held_by(rule.condition, facts)
    return False if held is False else told and held


def selected(selector: Selector, request: CallRequest) -> bool | None:
    """Say whether a selector holds; None when it cannot tell."""
    try:
        held: object = selector.test(request)
    except Exception:  # noqa: BLE001 - whatever goes wrong, fail closed
        return None
    return held if isinstance(held, bool) else None


def held_by(condition: Condition, facts: Facts) -> bool | None:
    """Say whether a condition holds; None when it cannot tell."""
    try:
        held: object = condition(facts)
    except Exception:  # noqa: BLE001 - foreign expressions: whatever goes wrong, fail closed
        return None
    return held if isinstance(held, bool) else None
