"""Decide an approval: once, for exactly the call that was shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from policy import reviews
from policy.core.actor import Actor
from policy.core.json import Json, JsonObject, storable
from policy.core.rules.approvals import (
    BECOMES,
    Asked,
    lets_happen,
    terms_from_json,
    why_not_approve,
)
from policy.errors import InvalidDecision, NotAllowed
from policy.models import Approval, ApprovalState, DecisionAction
from policy.reviews import Act
from runs.errors import UnknownApproval
from runs.models import Run
from runs.nudging import wake
from runs.operations.correct_state import FITTING, corrected
from runs.operations.edit import edited

Decision = Literal["approve", "edit", "reject", "respond", "happened", "not_happened"]
NEEDS_A_REASON: Final = {
    "reject": "a rejection needs a reason: the agent is told it",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Decide:
    """A decision, bound to what the person saw: the digest and the approval's version.

    `arguments` go with edit; `result` with respond (the answer) and with happened (what the
    call gave); `state` with approve, reject and respond (reviewable channels, as they are to be).
    """

    approval_id: UUID
    decision: Decision
    digest: str
    version: int
    reason: str = ""
    result: Json = None
    arguments: JsonObject | None = None
    state: JsonObject = field(default_factory=dict)


def decide_approval(command: Decide, *, by: Actor, now: datetime) -> ApprovalState:
    """Decide; the last decision that is needed ends the approval and wakes the run that waits.

    Gives the state reached: `open` after an edit, and while more people must approve.

    Raises:
        UnknownApproval: this tenant has no such approval.
        ApprovalChanged: the digest or version is not what it is now.
        ApprovalNotOpen: it was decided, expired or withdrawn before.
        ApprovalClaimed: somebody else is at it.
        NotAllowed: it is for others to decide, or their own to ask.
        InvalidDecision: the decision does not fit its kind, or lacks what it needs.
    """
    approval = locked(command.approval_id)
    reviews.must_be_open(approval)
    reviews.must_be_as_shown(approval, command.digest, command.version)
    _must_fit(command, approval)
    question = reviews.must_be_theirs(approval, by, now=now)
    if command.decision == "edit":
        edited(approval, command.arguments or {}, by=by, reason=command.reason, now=now)
        return ApprovalState.OPEN
    if lets_happen(approval.kind, command.decision) and not _is_last(question, by):
        vote = Act(action=DecisionAction.APPROVE, at=now, reason=command.reason)
        reviews.note(approval, by, vote)
        _free(approval)
        return ApprovalState.OPEN
    return _end(command, approval, by, now)


def locked(approval_id: UUID) -> Approval:
    """Lock an approval and, before it, the run that waits for it.

    Raises:
        UnknownApproval: this tenant has no such approval.
    """
    run_id = Approval.objects.filter(pk=approval_id).values_list("run_id", flat=True).first()
    if run_id is None:
        raise UnknownApproval(f"there is no approval {approval_id}")
    Run.objects.select_for_update(no_key=True).get(pk=run_id)
    return Approval.objects.select_for_update().get(pk=approval_id)


def _must_fit(command: Decide, approval: Approval) -> None:
    kind, decision = approval.kind, command.decision
    fitting = [one for of, one in BECOMES if of == kind] + ["edit"] * (kind == "tool_call")
    if decision not in fitting:
        raise InvalidDecision(f"decide {' or '.join(fitting)} here, not {decision}")
    if decision in NEEDS_A_REASON and not command.reason.strip():
        raise InvalidDecision(NEEDS_A_REASON[decision])
    if decision == "respond" and command.result in (None, ""):
        raise InvalidDecision("an answer needs a result: it becomes the result of the call")
    if (kind, decision) == ("answer", "respond") and terms_from_json(approval.terms).needed > 1:
        raise InvalidDecision("where several must let an answer leave nobody gives another alone")
    if decision == "edit" and command.arguments is None:
        raise InvalidDecision("an edit needs the arguments, all of them")
    if command.state:
        _must_be_correctable(approval, decision)


def _must_be_correctable(approval: Approval, decision: Decision) -> None:
    if approval.kind == "answer":
        raise InvalidDecision("the run is done: give another answer, or refuse this one")
    if decision not in FITTING:
        raise InvalidDecision(f"the state is corrected with {', '.join(sorted(FITTING))}")
    if terms_from_json(approval.terms).needed > 1:
        raise InvalidDecision("where several must approve nobody corrects the state alone")


def _is_last(question: Asked, by: Actor) -> bool:
    """Say whether this approval is the last that is needed, or raise NotAllowed."""
    if why := why_not_approve(question, reviews.reviewer(by)):
        raise NotAllowed(why)
    return len(question.voted | {by.identity}) >= question.terms.needed


def _free(approval: Approval) -> None:
    approval.claimed_by = approval.claimed_name = ""
    approval.claimed_until = None
    approval.save(update_fields=["claimed_by", "claimed_name", "claimed_until"])


def _end(command: Decide, approval: Approval, by: Actor, now: datetime) -> ApprovalState:
    state = ApprovalState(BECOMES[approval.kind, command.decision])
    corrections = corrected(approval, command.state, by=by) if command.state else {}
    detail = {} if command.result is None else {"result": command.result}
    act = Act(
        action=DecisionAction(command.decision),
        at=now,
        reason=command.reason,
        is_final=True,
        detail=detail | ({"state": corrections} if corrections else {}),
    )
    reviews.note(approval, by, act)
    approval.state, approval.version = state, approval.version + 1
    approval.decided_at, approval.decided_by = now, by.name
    approval.decision_reason = storable(command.reason)
    approval.result = storable(command.result)
    approval.corrections = corrections
    approval.save()
    told = {"decision": command.decision, "by": by.name}
    reviews.notify(approval, "approval.decided", told)
    wake(
        approval.tenant_id,
        approval.run_id,
        "approval.decided",
        {"approval": str(approval.pk), **told},
    )
    return state
