"""The `approval:` block as people write it: who decides, and what if nobody does."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any, Final, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StringConstraints,
    model_validator,
)

from policy.core.rules.approvals import ANSWERS, AgentsMay, ApprovalTerms, OnTimeout, Rung
from policy.core.rules.triggers import Triggers

SHORTEST_WAIT: Final = timedelta(seconds=1)
LONGEST_WAIT: Final = timedelta(days=365)
_DURATION: Final = re.compile(r"(\d{1,9})([smhd])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}

Name = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f]+$")]


def _duration(value: object) -> object:
    if not isinstance(value, str):
        return value
    found = _DURATION.fullmatch(value)
    if found is None:
        raise ValueError("write a duration like 90s, 15m, 24h or 7d")
    return timedelta(seconds=int(found[1]) * _SECONDS[found[2]])


def said_duration(span: timedelta) -> str:
    """Write a duration as documents do."""
    seconds = int(span.total_seconds())
    for unit in ("d", "h", "m"):
        if seconds % _SECONDS[unit] == 0:
            return f"{seconds // _SECONDS[unit]}{unit}"
    return f"{seconds}s"


Names = Annotated[tuple[Name, ...], Field(max_length=20)]
Wait = Annotated[
    timedelta, BeforeValidator(_duration), Field(strict=True, ge=SHORTEST_WAIT, le=LONGEST_WAIT)
]


class RungDocument(BaseModel):
    """One step of an escalation ladder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    after: Wait
    groups: Names = ()
    owners: Names = ()

    @model_validator(mode="after")
    def _has_somebody(self) -> Self:
        if not self.groups and not self.owners:
            raise ValueError("say to whom: groups or owners")
        return self


Share = Annotated[float, Field(strict=True, gt=0, le=1)]


class TriggersDocument(BaseModel):
    """What holds a call that the rule would allow, see `policy.core.rules.triggers`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    irreversible: StrictBool = False
    confidence: Share | None = None
    out_of_distribution: StrictBool | Annotated[float, Field(strict=True, gt=0)] = False
    money: Annotated[float, Field(strict=True, ge=0)] | None = None
    people: Annotated[int, Field(strict=True, ge=0)] | None = None
    taint: StrictBool = False
    budget: Share | None = None

    def triggers(self) -> Triggers:
        """Give them as they are judged by."""
        unlike = self.out_of_distribution
        return Triggers(
            irreversible=self.irreversible,
            confidence=self.confidence,
            out_of_distribution=None if unlike is False else float(unlike is not True and unlike),
            money=self.money,
            people=self.people,
            taint=self.taint,
            budget=self.budget,
        )


class ApprovalDocument(BaseModel):
    """Who decides about a call that is held, and what if nobody does."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    groups: Names = ()
    owners: Names = ()
    quorum: Annotated[int, Field(strict=True, ge=1, le=20)] = 1
    four_eyes: StrictBool = False
    self_approval: StrictBool = False
    on_timeout: OnTimeout = OnTimeout.REJECT
    agents_may: AgentsMay = AgentsMay.ADVISE
    escalate: Annotated[tuple[RungDocument, ...], Field(max_length=10)] = ()
    hold_if: TriggersDocument = TriggersDocument()

    @model_validator(mode="after")
    def _ladder_rises(self) -> Self:
        waits = [rung.after for rung in self.escalate]
        if waits != sorted(set(waits)):
            raise ValueError("the steps of escalate come in the order of `after`, each later")
        if self.on_timeout is OnTimeout.ESCALATE and not waits:
            raise ValueError("on_timeout: escalate needs a step in escalate")
        return self

    def terms(self, expires_after: timedelta) -> ApprovalTerms:
        """Give them as they are asked under."""
        return ApprovalTerms(
            expires_after=expires_after,
            groups=self.groups,
            owners=self.owners,
            quorum=self.quorum,
            four_eyes=self.four_eyes,
            self_approval=self.self_approval,
            on_timeout=self.on_timeout,
            agents_may=self.agents_may,
            escalate=tuple(
                Rung(after=rung.after, groups=rung.groups, owners=rung.owners)
                for rung in self.escalate
            ),
            hold_if=self.hold_if.triggers(),
        )

    def written(self) -> dict[str, Any]:
        """Give it as it would be written: what differs from the defaults, in plain values."""
        given = self.model_dump(mode="json", exclude_defaults=True)
        for plain, rung in zip(given.get("escalate", ()), self.escalate, strict=False):
            plain["after"] = said_duration(rung.after)
        return given


class AnswersDocument(BaseModel):
    """Who decides whether an answer leaves that the tenant's settings hold, and by when."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    expires_after: Wait = ANSWERS.expires_after
    approval: ApprovalDocument = ApprovalDocument()

    @model_validator(mode="after")
    def _is_about_an_answer(self) -> Self:
        asked = self.approval
        if asked.hold_if != TriggersDocument():
            raise ValueError("hold_if is about calls: the tenant's settings hold answers")
        if asked.agents_may is not AgentsMay.ADVISE:
            raise ValueError("agents_may: no agent is asked about an answer")
        if asked.on_timeout is OnTimeout.APPROVE:
            raise ValueError("on_timeout: no answer leaves because nobody decided")
        return self

    def terms(self) -> ApprovalTerms:
        """Give them as they are asked under."""
        return self.approval.terms(self.expires_after)

    def written(self) -> dict[str, Any]:
        """Give it as it would be written: what differs from the defaults, in plain values."""
        given: dict[str, Any] = {}
        if self.expires_after != ANSWERS.expires_after:
            given["expires_after"] = said_duration(self.expires_after)
        if approval := self.approval.written():
            given["approval"] = approval
        return given
