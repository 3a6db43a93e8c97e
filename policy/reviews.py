"""What reviewing rests on: who somebody is to an approval, and the record of what they did."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from datetime import datetime

from django.db import connection
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

from policy.audit import record
from policy.core.actor import Actor
from policy.core.json import JsonObject, canonical, storable
from policy.core.rules.approvals import (
    RISKS,
    Asked,
    Reviewer,
    terms_from_json,
    why_not_approve,
    why_not_decide,
)
from policy.errors import ApprovalChanged, ApprovalClaimed, ApprovalNotOpen, NotAllowed
from policy.models import (
    Approval,
    ApprovalDecision,
    ApprovalState,
    DecisionAction,
    Principal,
    Role,
)
from policy.queries.approvals import ApprovalView, ReviewedApproval, approval_view, decisions_of


def reviewer(actor: Actor) -> Reviewer:
    """Give somebody as a reviewer: with their groups and the risk they may decide up to."""
    known = Principal.objects.filter(pk=actor.principal_id).first() if actor.principal_id else None
    return Reviewer(
        identity=actor.identity,
        name=actor.name,
        groups=frozenset(known.groups if known else ()),
        decides_up_to=known.decides_up_to if known else "critical",
        is_system=actor.kind == "system",
    )


def asked(row: Approval, *, now: datetime, with_votes: bool = True) -> Asked:
    """Give what of an approval counts for who may decide it at this moment."""
    is_claimed = row.claimed_until is not None and row.claimed_until > now
    return Asked(
        terms=terms_from_json(row.terms),
        groups=frozenset(row.groups),
        owners=frozenset(row.owners),
        risk=row.risk,
        started_by=row.started_by,
        edited_by=row.edited_by,
        claimed_by=row.claimed_by if is_claimed else "",
        claimed_name=row.claimed_name if is_claimed else "",
        voted=frozenset(votes(row) if with_votes else ()),
    )


def votes(row: Approval) -> list[str]:
    """List who approved the call as it stands; an edit voids what was approved before."""
    found = ApprovalDecision.objects.filter(
        approval_id=row.pk, action=DecisionAction.APPROVE, version=row.version, digest=row.digest
    )
    return list(found.values_list("by", flat=True)) if row.state == ApprovalState.OPEN else []


def must_be_open(row: Approval) -> None:
    """Go on only with a question that still can be answered, by the database's clock.

    Raises:
        ApprovalNotOpen: it was decided, expired or withdrawn; says who did what, and when.
    """
    if row.state != ApprovalState.OPEN:
        raise ApprovalNotOpen(row.state, by=row.decided_by, at=row.decided_at)
    if Approval.objects.filter(pk=row.pk, expires_at__lte=Now()).exists():
        raise ApprovalNotOpen(ApprovalState.EXPIRED)


def must_be_theirs(row: Approval, actor: Actor, *, now: datetime) -> Asked:
    """Go on only if somebody may decide this.

    Raises:
        ApprovalClaimed: somebody else has claimed it.
        NotAllowed: it is for others to decide, or too risky for them.
    """
    question = asked(row, now=now)
    if why := why_not_decide(question, reviewer(actor)):
        if question.claimed_by not in {"", actor.identity}:
            raise ApprovalClaimed(why)
        raise NotAllowed(why)
    return question


def reviewed(row: Approval, actor: Actor, *, now: datetime) -> ReviewedApproval:
    """Give an approval as one reviewer sees it."""
    view, question, who = approval_view(row), asked(row, now=now), reviewer(actor)
    done = decisions_of(row.pk)
    standing = next((act.version for act in done if act.is_final), row.version)
    return ReviewedApproval(
        **{f.name: getattr(view, f.name) for f in fields(view)},
        approved_by=tuple(
            act.name
            for act in done
            if act.action == DecisionAction.APPROVE
            and (act.version, act.digest) == (standing, row.digest)
        ),
        why_not=why_not_decide(question, who),
        why_not_approve=why_not_approve(question, who),
        decisions=tuple(done),
    )


def for_reviewer(
    rows: Iterable[Approval], actor: Actor, *, now: datetime
) -> list[tuple[ApprovalView, str]]:
    """Give open questions in the order of their urgency, with why somebody may not decide each."""
    who = reviewer(actor)

    def urgency(row: Approval) -> tuple[bool, float]:
        left = (row.expires_at - now).total_seconds()
        risk = RISKS.index(row.risk) if row.risk in RISKS else RISKS.index("high")
        return left > 0, left / (1 + risk)

    return [
        (approval_view(row), why_not_decide(asked(row, now=now, with_votes=False), who))
        for row in sorted(rows, key=urgency)
    ]


def is_admin(actor: Actor) -> bool:
    """Say whether somebody runs this tenant, and so may hand its questions on."""
    return Role.ADMIN in actor.roles


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One thing that somebody does to an approval."""

    action: DecisionAction
    at: datetime
    reason: str = ""
    is_final: bool = False
    detail: JsonObject = field(default_factory=dict)


def note(row: Approval, actor: Actor, act: Act) -> None:
    """Write down what somebody did to an approval, for good, and in the audit log."""
    ApprovalDecision(
        id=uuid7(),
        approval_id=row.pk,
        action=act.action,
        at=act.at,
        by=actor.identity,
        name=actor.name,
        reason=storable(act.reason),
        digest=row.digest,
        version=row.version,
        is_final=act.is_final,
        detail=storable(act.detail),
    ).save(force_insert=True)
    told = {"decision": act.action, "digest": row.digest, "reason": act.reason, **act.detail}
    name = "approval.decided" if act.is_final else AUDITED[act.action]
    record(actor, name, f"approval/{row.pk}", storable(told))


def notify(row: Approval, event: str, detail: JsonObject) -> None:
    """Leave a notice of this for whoever subscribed to it, with the open transaction."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT policy_notify(%s, %s, %s, %s::jsonb)",
            [row.tenant_id, row.pk, event, canonical(detail).decode()],
        )


def must_be_as_shown(row: Approval, digest: str, version: int) -> None:
    """Go on only with the call that somebody was shown.

    Raises:
        ApprovalChanged: it is another one now.
    """
    if (digest, version) != (row.digest, row.version):
        raise ApprovalChanged("the call is not the one that was shown; read it again")


AUDITED = {
    DecisionAction.APPROVE: "approval.voted",
    DecisionAction.EDIT: "approval.edited",
    DecisionAction.ESCALATE: "approval.escalated",
    DecisionAction.DELEGATE: "approval.delegated",
    DecisionAction.DEFER: "approval.deferred",
    DecisionAction.COMMENT: "approval.commented",
    DecisionAction.CLAIM: "approval.claimed",
    DecisionAction.RELEASE: "approval.released",
}
"""What the audit log calls an act that decides nothing by itself."""
