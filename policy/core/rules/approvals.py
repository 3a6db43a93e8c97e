"""What a rule asks of the people who decide: who, how many, by when, and what if nobody does.

Terms are part of a policy and are copied into every approval that is asked for under them: a
later change of the policy does not change what was asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final

from policy.core.json import JsonObject
from policy.core.rules.triggers import NONE, Triggers, triggers_from_json, triggers_to_json

FOUR_EYES: Final = 2
BECOMES: Final[Mapping[tuple[str, str], str]] = {
    ("tool_call", "approve"): "approved",
    ("tool_call", "reject"): "rejected",
    ("tool_call", "respond"): "responded",
    ("guard", "approve"): "approved",
    ("guard", "reject"): "rejected",
    ("answer", "approve"): "approved",
    ("answer", "reject"): "rejected",
    ("answer", "respond"): "responded",
    ("outcome_unknown", "happened"): "happened",
    ("outcome_unknown", "not_happened"): "not_happened",
}
"""The state that ends an approval, by its kind and the decision."""
RISKS: Final = ("low", "medium", "high", "critical")


class OnTimeout(StrEnum):
    """What becomes of a question that nobody answers in time.

    APPROVE counts for calls of low risk only, any other is rejected. ESCALATE gives the last
    rung of the ladder the same time once more; after that the question is rejected.
    """

    REJECT = "reject"
    APPROVE = "approve"
    ESCALATE = "escalate"


class AgentsMay(StrEnum):
    """What an agent that was asked instead of a person may do with a question.

    ADVISE: what it says stands beside the question, and a person decides. RESPOND: it may answer
    in the place of the call, or reject it. DECIDE: it may approve, too, where one approval is
    enough, of low and medium risk, and not what is made once and cannot be undone.
    """

    ADVISE = "advise"
    RESPOND = "respond"
    DECIDE = "decide"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One step of an escalation ladder: so long after asking, these may decide, too."""

    after: timedelta
    groups: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalTerms:
    """Who may decide, how many must approve, how long they have, and what happens then.

    Without groups and owners every reviewer may. `owners` are names of principals. `hold_if`
    holds calls that the rule would allow.
    """

    expires_after: timedelta = timedelta(hours=24)
    groups: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    quorum: int = 1
    four_eyes: bool = False
    self_approval: bool = False
    on_timeout: OnTimeout = OnTimeout.REJECT
    agents_may: AgentsMay = AgentsMay.ADVISE
    escalate: tuple[Rung, ...] = ()
    hold_if: Triggers = NONE

    @property
    def needed(self) -> int:
        """Give how many different people must approve."""
        return max(self.quorum, FOUR_EYES if self.four_eyes else 1)


ANSWERS: Final = ApprovalTerms(expires_after=timedelta(days=7))
"""Under which a person is asked whether an answer may leave, where the policy says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reviewer:
    """Somebody who may decide: known by one identity, whichever way they came in."""

    identity: str
    name: str
    groups: frozenset[str] = frozenset()
    decides_up_to: str = "critical"
    is_system: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What of an approval counts for who may decide it."""

    terms: ApprovalTerms
    groups: frozenset[str] = frozenset()
    owners: frozenset[str] = frozenset()
    risk: str = ""
    started_by: str = ""
    edited_by: str = ""
    claimed_by: str = ""
    claimed_name: str = ""
    voted: frozenset[str] = frozenset()


def why_not_decide(asked: Asked, who: Reviewer) -> str:
    """Say why somebody may not decide this in any way; empty where they may."""
    if who.is_system:
        return ""
    if asked.claimed_by and asked.claimed_by != who.identity:
        return f"{asked.claimed_name} has claimed it; ask them, or wait until the claim is over"
    is_named = who.name in asked.owners or bool(asked.groups & who.groups)
    if (asked.groups or asked.owners) and not is_named:
        return f"this is for {_names(asked)} to decide"
    if _rank(asked.risk) > _rank(who.decides_up_to):
        return f"you may decide calls of up to {who.decides_up_to} risk; this one is {asked.risk}"
    return ""


def lets_happen(kind: str, decision: str) -> bool:
    """Say whether a decision is a permission: whoever gives another answer lets that one leave."""
    return decision == "approve" or (kind, decision) == ("answer", "respond")


def why_not_approve(asked: Asked, who: Reviewer) -> str:
    """Say why somebody's approval would not count; empty where it does.

    Nobody approves what they asked for themselves. Where several people must approve, whoever
    edited the call asked for it too, and nobody counts twice.
    """
    if who.is_system:
        return ""
    if asked.started_by == who.identity and not asked.terms.self_approval:
        return "you started this run; somebody else approves what it asks for"
    if asked.terms.needed > 1 and asked.edited_by == who.identity:
        return "you edited this call; somebody else approves what you wrote"
    if who.identity in asked.voted:
        return "you approved it already; somebody else must, too"
    return ""


def _names(asked: Asked) -> str:
    groups = [f"group {name}" for name in sorted(asked.groups)]
    return ", ".join([*groups, *sorted(asked.owners)])


def _rank(risk: str) -> int:
    """Order risks; of a tool that is gone nothing is known, so it counts as high."""
    return RISKS.index(risk) if risk in RISKS else RISKS.index("high")


def terms_to_json(terms: ApprovalTerms) -> JsonObject:
    """Write terms down; what is as by default is left out."""
    plain = ApprovalTerms()
    raw: dict[str, Any] = {"expires_after": terms.expires_after.total_seconds()}
    for name in ("groups", "owners"):
        if getattr(terms, name):
            raw[name] = list(getattr(terms, name))
    for name in ("quorum", "four_eyes", "self_approval", "on_timeout", "agents_may"):
        if getattr(terms, name) != getattr(plain, name):
            raw[name] = getattr(terms, name)
    if terms.hold_if:
        raw["hold_if"] = triggers_to_json(terms.hold_if)
    if terms.escalate:
        raw["escalate"] = [
            {
                "after": rung.after.total_seconds(),
                "groups": list(rung.groups),
                "owners": list(rung.owners),
            }
            for rung in terms.escalate
        ]
    return raw


def terms_from_json(raw: Mapping[str, Any] | None) -> ApprovalTerms:
    """Read terms back."""
    raw = raw or {}
    plain = ApprovalTerms()
    seconds = raw.get("expires_after", plain.expires_after.total_seconds())
    return ApprovalTerms(
        expires_after=timedelta(seconds=seconds),
        groups=tuple(raw.get("groups", ())),
        owners=tuple(raw.get("owners", ())),
        quorum=raw.get("quorum", plain.quorum),
        four_eyes=raw.get("four_eyes", plain.four_eyes),
        self_approval=raw.get("self_approval", plain.self_approval),
        on_timeout=OnTimeout(raw.get("on_timeout", plain.on_timeout)),
        agents_may=AgentsMay(raw.get("agents_may", plain.agents_may)),
        escalate=_rungs(raw.get("escalate", ())),
        hold_if=triggers_from_json(raw.get("hold_if")),
    )


def _rungs(raw: Iterable[Mapping[str, Any]]) -> tuple[Rung, ...]:
    return tuple(
        Rung(
            after=timedelta(seconds=rung["after"]),
            groups=tuple(rung.get("groups", ())),
            owners=tuple(rung.get("owners", ())),
        )
        for rung in raw
    )
