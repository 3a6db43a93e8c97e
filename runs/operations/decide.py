"""Decide an approval: once, for exactly the call that was shown."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from policy.audit import record
from policy.core.actor import Actor
from policy.core.json import Json, storable
from policy.errors import ApprovalChanged, ApprovalNotOpen, InvalidDecision
from policy.models import Approval, ApprovalKind, ApprovalState
from runs.errors import UnknownApproval
from runs.models import Run
from runs.nudging import wake

Decision = Literal["approve", "reject", "happened", "not_happened"]

BECOMES: Final[dict[tuple[str, str], ApprovalState]] = {
    (ApprovalKind.TOOL_CALL, "approve"): ApprovalState.APPROVED,
    (ApprovalKind.TOOL_CALL, "reject"): ApprovalState.REJECTED,
    (ApprovalKind.OUTCOME_UNKNOWN, "happened"): ApprovalState.HAPPENED,
    (ApprovalKind.OUTCOME_UNKNOWN, "not_happened"): ApprovalState.NOT_HAPPENED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Decide:
    """A decision, bound to what the person saw: the digest and the approval's version."""

    approval_id: UUID
    decision: Decision
    digest: str
    version: int
    reason: str = ""
    result: Json = None


def decide_approval(command: Decide, *, by: Actor, now: datetime) -> None:
    """Decide, and wake the run that waits.

    Raises:
        UnknownApproval: this tenant has no such approval.
        ApprovalChanged: the digest or version is not what it is now.
        ApprovalNotOpen: it was decided, expired or withdrawn before.
        InvalidDecision: the decision does not fit its kind, or lacks a reason.
    """
    run_id = Approval.objects.filter(pk=command.approval_id).values_list("run_id", flat=True)
    if not run_id:
        raise UnknownApproval(f"there is no approval {command.approval_id}")
    Run.objects.select_for_update(no_key=True).get(pk=run_id[0])
    approval = Approval.objects.select_for_update().get(pk=command.approval_id)
    state = _becomes(command, approval, now)
    changed = Approval.objects.filter(pk=approval.pk, state=ApprovalState.OPEN).update(
        state=state,
        version=approval.version + 1,
        decided_at=now,
        decided_by=by.name,
        decision_reason=storable(command.reason),
        result=storable(command.result),
    )
    if not changed:
        raise ApprovalNotOpen(approval.state)
    facts = {"decision": command.decision, "digest": approval.digest, "reason": command.reason}
    record(by, "approval.decided", f"approval/{approval.pk}", storable(facts))
    wake(
        approval.tenant_id,
        approval.run_id,
        "approval.decided",
        {"approval": str(approval.pk), "decision": command.decision, "by": by.name},
    )


def _becomes(command: Decide, approval: Approval, now: datetime) -> ApprovalState:
    if approval.state != ApprovalState.OPEN:
        raise ApprovalNotOpen(approval.state)
    if approval.expires_at <= now:
        raise ApprovalNotOpen(ApprovalState.EXPIRED)
    if command.digest != approval.digest or command.version != approval.version:
        raise ApprovalChanged("the call is not the one that was shown; read it again")
    state = BECOMES.get((approval.kind, command.decision))
    if state is None:
        fitting = [decision for kind, decision in BECOMES if kind == approval.kind]
        raise InvalidDecision(f"decide {' or '.join(fitting)} here, not {command.decision}")
    if state is ApprovalState.REJECTED and not command.reason.strip():
        raise InvalidDecision("a rejection needs a reason: the agent is told it")
    return state
