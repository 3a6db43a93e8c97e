"""What a reviewer does to an approval that decides nothing: claim, defer, hand on, comment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from policy import reviews
from policy.core.actor import Actor
from policy.errors import ApprovalClaimed, InvalidDecision
from policy.models import Approval, DecisionAction, Principal
from policy.reviews import Act
from runs.nudging import tell
from runs.operations.decide import locked

CLAIM: Final = timedelta(minutes=15)
LONGEST_CLAIM: Final = timedelta(hours=8)


def claim(approval_id: UUID, *, by: Actor, now: datetime, life: timedelta = CLAIM) -> None:
    """Keep a question for oneself for a while; nobody else decides it meanwhile.

    Claiming again prolongs the claim. It ends by itself after `life` (at most 8 hours).

    Raises:
        UnknownApproval, ApprovalNotOpen, ApprovalClaimed, NotAllowed: as deciding.
    """
    row = _open(approval_id)
    reviews.must_be_theirs(row, by, now=now)
    until = now + min(life, LONGEST_CLAIM)
    _set(row, claimed_by=by.identity, claimed_name=by.name, claimed_until=until)
    detail = {"until": until.isoformat()}
    reviews.note(row, by, Act(action=DecisionAction.CLAIM, at=now, detail=detail))


def release(approval_id: UUID, *, by: Actor, now: datetime) -> None:
    """Give a claim back; an admin may give back anybody's.

    Raises:
        UnknownApproval, ApprovalNotOpen: as deciding.
        ApprovalClaimed: it is somebody else's.
        InvalidDecision: nobody has claimed it.
    """
    row = _open(approval_id)
    question = reviews.asked(row, now=now)
    if not question.claimed_by:
        raise InvalidDecision("nobody has claimed it")
    if question.claimed_by != by.identity and not reviews.is_admin(by):
        raise ApprovalClaimed(f"{question.claimed_name} has claimed it, and may release it")
    _set(row, **_UNCLAIMED)
    reviews.note(
        row, by, Act(action=DecisionAction.RELEASE, at=now, detail={"of": question.claimed_name})
    )


def defer(approval_id: UUID, *, until: datetime, by: Actor, now: datetime, reason: str) -> None:
    """Put a question off: it leaves the queue until then, its deadline at the latest.

    Raises:
        UnknownApproval, ApprovalNotOpen, ApprovalClaimed, NotAllowed: as deciding.
        InvalidDecision: `until` is over already.
    """
    row = _open(approval_id)
    reviews.must_be_theirs(row, by, now=now)
    if until <= now:
        raise InvalidDecision("defer until a moment that is still to come")
    until = min(until, row.expires_at)
    _set(row, deferred_until=until, **_UNCLAIMED)
    detail = {"until": until.isoformat()}
    reviews.note(row, by, Act(action=DecisionAction.DEFER, at=now, reason=reason, detail=detail))


def comment(approval_id: UUID, *, text: str, by: Actor, now: datetime) -> None:
    """Say something beside a question, decided or not. Nothing else changes.

    Raises:
        UnknownApproval: this tenant has no such approval.
        InvalidDecision: there is nothing in it.
    """
    if not text.strip():
        raise InvalidDecision("a comment says something")
    reviews.note(locked(approval_id), by, Act(action=DecisionAction.COMMENT, at=now, reason=text))


@dataclass(frozen=True, slots=True, kw_only=True)
class Escalate:
    """To whom a question is handed on, and why."""

    approval_id: UUID
    groups: Sequence[str] = ()
    owners: Sequence[str] = ()
    reason: str = ""


def escalate(command: Escalate, *, by: Actor, now: datetime) -> None:
    """Hand a question to other people: from now on they decide it, and nobody else.

    An admin may hand on what is not theirs to decide.

    Raises:
        UnknownApproval, ApprovalNotOpen, ApprovalClaimed, NotAllowed: as deciding.
        InvalidDecision: nobody was named, or somebody who is not there.
    """
    row, groups, owners = _open(command.approval_id), command.groups, command.owners
    if not reviews.is_admin(by):
        reviews.must_be_theirs(row, by, now=now)
    _must_be_somebody(groups, owners)
    _set(row, groups=list(groups), owners=list(owners), escalated_at=now, deferred_until=None)
    _set(row, **_UNCLAIMED)
    to = {"groups": list(groups), "owners": list(owners)}
    act = Act(action=DecisionAction.ESCALATE, at=now, reason=command.reason, detail=to)
    reviews.note(row, by, act)
    reviews.notify(row, "approval.escalated", to)
    tell(row.tenant_id, row.run_id, "approval.escalated", {"approval": str(row.pk), **to})


def seen(approval_id: UUID, digest: str, version: int) -> None:
    """Go on only with the call that somebody was shown; raises ApprovalChanged otherwise."""
    reviews.must_be_as_shown(locked(approval_id), digest, version)


_UNCLAIMED: Final = {"claimed_by": "", "claimed_name": "", "claimed_until": None}


def _open(approval_id: UUID) -> Approval:
    row = locked(approval_id)
    reviews.must_be_open(row)
    return row


def _set(row: Approval, **changed: object) -> None:
    for name, value in changed.items():
        setattr(row, name, value)
    row.save(update_fields=list(changed))


def _must_be_somebody(groups: Sequence[str], owners: Sequence[str]) -> None:
    if not groups and not owners:
        raise InvalidDecision("say to whom: groups, or owners by name")
    for name in owners:
        if not Principal.objects.filter(name=name).exists():
            raise InvalidDecision(f"there is nobody named {name} here")
    for name in groups:
        if not Principal.objects.filter(groups__contains=[name]).exists():
            raise InvalidDecision(f"nobody is in a group {name}")
