"""What becomes of a question to people, in memory: the twin of `runs.operations.decide`.

Also of what time does to it: `runs_approvals_due` in `runs/sql/approvals.sql`.
"""

from __future__ import annotations

from datetime import datetime

from policy.core.json import Json, JsonObject, digest
from policy.core.rules.approvals import (
    BECOMES,
    Asked,
    OnTimeout,
    Reviewer,
    lets_happen,
    why_not_approve,
)
from policy.errors import ApprovalNotOpen, InvalidDecision, NotAllowed
from runs.testing.rows import ApprovalRow, stored


def edit(row: ApprovalRow, arguments: JsonObject, *, version: str, by: str, now: datetime) -> None:
    """Put other arguments in the place of the agent's; what was approved before counts no more.

    Raises:
        ApprovalNotOpen: it was decided, expired or withdrawn before.
    """
    _must_be_open(row, now)
    row.proposed = row.proposed if row.edited_by else row.arguments
    row.arguments, row.edited_by, row.votes = stored(arguments), by, set()
    row.digest = digest(row.tool, version, row.arguments)


def decide(
    row: ApprovalRow, decision: str, *, reason: str, result: Json, by: str, now: datetime
) -> JsonObject | None:
    """Decide; give the event's data, or None where more people must approve.

    Raises:
        ApprovalNotOpen: it was decided, expired or withdrawn before.
        InvalidDecision: the decision does not fit its kind, or lacks a reason.
        NotAllowed: this approval would not count.
    """
    _must_be_open(row, now)
    state = BECOMES.get((row.kind, decision))
    if state is None:
        raise InvalidDecision(f"{decision} does not fit an approval of kind {row.kind}")
    if state == "rejected" and not reason.strip():
        raise InvalidDecision("a rejection needs a reason: the agent is told it")
    if (row.kind, decision) == ("answer", "respond") and row.terms.needed > 1:
        raise InvalidDecision("where several must let an answer leave nobody gives another alone")
    if lets_happen(row.kind, decision) and not _votes(row, by):
        return None
    row.state, row.decided_by = state, by
    row.decision_reason, row.result = reason, stored(result)
    return {"approval": row.id, "decision": decision, "by": by}


def due(row: ApprovalRow, now: datetime) -> tuple[str, JsonObject] | None:
    """Take a question up its ladder, or end it; give the event that wakes its run, if any."""
    if row.state != "open":
        return None
    while not row.extended and row.rung < len(row.terms.escalate):
        rung = row.terms.escalate[row.rung]
        if row.created_at + rung.after > min(now, row.expires_at):
            break
        if row.groups or row.owners:
            row.groups, row.owners = row.groups | {*rung.groups}, row.owners | {*rung.owners}
        row.rung += 1
    if row.expires_at > now:
        return None
    return _time_is_over(row, now)


def _time_is_over(row: ApprovalRow, now: datetime) -> tuple[str, JsonObject] | None:
    terms = row.terms
    if terms.on_timeout is OnTimeout.ESCALATE and terms.escalate and not row.extended:
        last = terms.escalate[-1]
        row.extended, row.expires_at = True, now + terms.expires_after
        row.groups, row.owners = frozenset(last.groups), frozenset(last.owners)
        return None
    is_small = row.risk == "low" and row.kind == "tool_call"
    if terms.on_timeout is OnTimeout.APPROVE and is_small:
        row.state, row.decided_by = "approved", "the deadline"
        told = {"approval": row.id, "decision": "approve", "by": "the deadline"}
        return "approval.decided", told
    row.state = "expired"
    return "approval.expired", {"approval": row.id}


def _must_be_open(row: ApprovalRow, now: datetime) -> None:
    if row.state != "open":
        raise ApprovalNotOpen(row.state)
    if row.expires_at <= now:
        raise ApprovalNotOpen("expired")


def _votes(row: ApprovalRow, by: str) -> bool:
    """Count an approval, and say whether it was the last that was needed."""
    asked = Asked(terms=row.terms, edited_by=row.edited_by, voted=frozenset(row.votes))
    if why := why_not_approve(asked, Reviewer(identity=by, name=by)):
        raise NotAllowed(why)
    row.votes.add(by)
    return len(row.votes) >= row.terms.needed
