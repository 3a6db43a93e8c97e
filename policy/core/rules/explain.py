"""Why a call was judged as it was: every rule asked, every clause looked at.

`decide` stops at the first rule that matches; here all are asked, and the verdict is the
same (a property holds the two together).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from policy.core.call import CallRequest, Facts
from policy.core.json import Json
from policy.core.rules.decide import (
    STRICTNESS,
    Decision,
    Policy,
    Rule,
    Verdict,
    decide,
    held_by,
    selected,
)
from policy.core.rules.selectors import Selector, patterns

MOST_CHANGES: Final = 3


class Part(StrEnum):
    """What a rule did for the verdict.

    DECIDED made it. DOUBTED could not be evaluated, and made it stricter. MATCHED would have
    made it, had an earlier rule not. UNSURE could not be evaluated, and counted for nothing.
    PASSED does not match.
    """

    DECIDED = "decided"
    DOUBTED = "doubted"
    MATCHED = "matched"
    UNSURE = "unsure"
    PASSED = "passed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One clause of a rule against the call: what it wants, what is there, whether it holds.

    `holds` is None where that cannot be told: a value is absent, or of another kind.
    """

    clause: str
    wants: str
    seen: Json
    holds: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleReport:
    """One rule against the call, in the order in which rules are asked (`place`, from 1)."""

    place: int
    name: str
    decision: Decision
    part: Part
    matches: bool | None
    findings: tuple[Finding, ...]

    @property
    def failing(self) -> tuple[Finding, ...]:
        """Give the clauses that do not hold, or cannot be told to."""
        return tuple(finding for finding in self.findings if finding.holds is not True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What would have to be otherwise for another decision: a rule's clauses that fail.

    `before` names the rule that would still be asked earlier, and decide, unless it ceased
    to match.
    """

    decision: Decision
    rule: str
    missing: tuple[Finding, ...]
    before: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A verdict, the clauses that made it, every rule's part in it, and what would change it."""

    verdict: Verdict
    clauses: tuple[Finding, ...]
    rules: tuple[RuleReport, ...]
    changes: tuple[Change, ...]


def explain(policy: Policy, request: CallRequest) -> Explanation:
    """Judge a call as `decide` does, and say why."""
    verdict = decide(policy, request)
    facts = request.facts()
    asked = [_looked_at(rule, request, facts) for rule in policy.rules]
    reports = tuple(_reports(policy, asked, verdict, granted=request.granted))
    return Explanation(
        verdict=verdict,
        clauses=_clauses(verdict, request, reports),
        rules=reports,
        changes=tuple(_changes(verdict, request, reports)),
    )


# --- One rule ---------------------------------------------------------------------------------


def _looked_at(rule: Rule, request: CallRequest, facts: Facts) -> tuple[bool | None, list[Finding]]:
    """Say whether a rule matches, and what became of each of its clauses."""
    found = [_finding(selector, request) for selector in (*_patterns(rule), *rule.selectors)]
    told = [finding.holds for finding in found]
    if rule.condition is not None:
        holds = held_by(rule.condition, facts)
        told.append(holds)
        parts = [
            Finding(
                clause="when",
                wants=clause.text,
                seen=dict(clause.values(facts)),
                holds=held_by(clause.holds, facts),
            )
            for clause in rule.clauses
        ]
        if len(parts) == 1 or (holds is not True and all(part.holds for part in parts)):
            parts = [_whole(rule, parts, holds=holds)]
        found += parts
    if False in told:
        return False, found
    return (None if None in told else True), found


def _whole(rule: Rule, parts: list[Finding], *, holds: bool | None) -> Finding:
    seen = parts[0].seen if len(parts) == 1 else {}
    return Finding(clause="when", wants=rule.expression, seen=seen, holds=holds)


def _patterns(rule: Rule) -> list[Selector]:
    """Give what a rule asks by its patterns and effects, as selectors."""
    asked = []
    if rule.tools != "*":
        asked.append(patterns("tools", rule.tools.split(), lambda call: (call.tool,)))
    if rule.agents != "*":
        asked.append(patterns("agents", rule.agents.split(), lambda call: (call.agent,)))
    if rule.effects:
        among = sorted(effect.value for effect in rule.effects)
        asked.append(patterns("effects", among, lambda call: (call.effect.value,)))
    return asked


def _finding(selector: Selector, request: CallRequest) -> Finding:
    return Finding(
        clause=selector.name,
        wants=selector.wants,
        seen=_brief(selector.seen(request)),
        holds=selected(selector, request),
    )


def _brief(seen: Json) -> Json:
    """Show one text as a text, where a selector sees a list of them."""
    return seen[0] if isinstance(seen, list) and len(seen) == 1 else seen


# --- All rules --------------------------------------------------------------------------------


def _reports(
    policy: Policy,
    asked: list[tuple[bool | None, list[Finding]]],
    verdict: Verdict,
    *,
    granted: bool,
) -> list[RuleReport]:
    reports: list[RuleReport] = []
    is_over = not granted
    for place, (rule, (matches, found)) in enumerate(zip(policy.rules, asked, strict=True), 1):
        part, is_over = _part(rule, verdict, matches=matches, is_over=is_over)
        reports.append(
            RuleReport(
                place=place,
                name=rule.name,
                decision=rule.decision,
                part=part,
                matches=matches,
                findings=tuple(found),
            )
        )
    return reports


def _part(
    rule: Rule, verdict: Verdict, *, matches: bool | None, is_over: bool
) -> tuple[Part, bool]:
    if matches is False:
        return Part.PASSED, is_over
    if is_over:
        return (Part.MATCHED if matches else Part.UNSURE), True
    if matches is True or rule.decision is Decision.DENY:
        return (Part.DECIDED if verdict.rule == rule.name else Part.MATCHED), True
    if verdict.rule == rule.name:
        return Part.DOUBTED, False
    return Part.UNSURE, False


def _clauses(
    verdict: Verdict, request: CallRequest, reports: tuple[RuleReport, ...]
) -> tuple[Finding, ...]:
    """Give the clauses that made the verdict: the ceiling's, the missing grant, or the rule's."""
    if not request.granted:
        return (Finding(clause="granted", wants="yes", seen=False, holds=False),)
    if verdict.ceiling:
        return (_ceiling(verdict, request),)
    made = [report for report in reports if report.name == verdict.rule]
    return made[0].findings if made else ()


def _ceiling(verdict: Verdict, request: CallRequest) -> Finding:
    return Finding(
        clause="autonomy",
        wants="more than " + verdict.ceiling,
        seen={
            "autonomy": request.autonomy.value,
            "effect": request.effect.value,
            "egress": request.egress,
            "risk": request.risk.value,
            "reversible": request.reversible,
        },
        holds=False,
    )


# --- What would change it ---------------------------------------------------------------------


def _changes(
    verdict: Verdict, request: CallRequest, reports: tuple[RuleReport, ...]
) -> list[Change]:
    """Give the nearest ways to another decision: milder ones, or from allow the stricter ones."""
    if not request.granted:
        wants = Finding(clause="granted", wants="yes", seen=False, holds=False)
        return [Change(decision=Decision.ALLOW, rule="", missing=(wants,))]
    changes = []
    if verdict.ceiling:
        held = next((r.decision for r in reports if r.name == verdict.rule), Decision.ALLOW)
        missing = (_ceiling(verdict, request),)
        changes.append(Change(decision=held, rule=verdict.rule, missing=missing))
    now = STRICTNESS[verdict.decision]
    milder = verdict.decision is not Decision.ALLOW
    others = [
        report
        for report in reports
        if (STRICTNESS[report.decision] < now if milder else STRICTNESS[report.decision] > now)
        and report.name != verdict.rule
    ]
    first = next((r for r in reports if r.part is Part.DECIDED), None)
    nearest = sorted(others, key=lambda report: (len(report.failing), report.place))
    changes += [
        Change(
            decision=report.decision,
            rule=report.name,
            missing=report.failing,
            before=first.name if first is not None and first.place < report.place else "",
        )
        for report in nearest[:MOST_CHANGES]
    ]
    return changes
