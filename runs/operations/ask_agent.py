"""Ask an agent about an approval: a run of its own, whose result comes back to the question.

The sweeper takes the result in (`runs_advised`): as advice beside the question or, where the
rule's terms say so, as the decision. People may decide meanwhile; then it counts no more.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Final
from uuid import UUID

from policy import reviews
from policy.core.actor import Actor
from policy.core.json import JsonObject, storable
from policy.core.rules.approvals import AgentsMay, terms_from_json
from policy.errors import InvalidDecision
from policy.models import Approval, ApprovalKind, DecisionAction
from policy.provenance.delimit import delimited
from policy.reviews import Act
from runs.agents.versions import resolve
from runs.core.plan import first_checkpoint
from runs.errors import InvalidInput, UnknownAgent
from runs.nudging import tell
from runs.operations.decide import locked
from runs.operations.start import StartRun, accept, accepted_input

MAY: Final = {
    AgentsMay.ADVISE: "Your answer is advice to the person who decides.",
    AgentsMay.RESPOND: "You may answer in the place of the call, or reject it.",
    AgentsMay.DECIDE: "You may approve it, answer in its place, or reject it.",
}


def ask_agent(approval_id: UUID, agent: str, *, by: Actor, now: datetime, reason: str = "") -> UUID:
    """Start a run of an agent with the question as its input; give its id.

    It may take as long as the question is open. Nothing that it is told counts as trusted.

    Raises:
        UnknownApproval, ApprovalNotOpen, ApprovalClaimed, NotAllowed: as deciding.
        InvalidDecision: there is no such agent, it takes no such question, it is the one that
            asks, an agent is at it already, or the question is whether an answer leaves.
    """
    row = locked(approval_id)
    reviews.must_be_open(row)
    if not reviews.is_admin(by):
        reviews.must_be_theirs(row, by, now=now)
    if row.kind == ApprovalKind.ANSWER:
        raise InvalidDecision("no agent is asked about an answer that is held; a person decides")
    if row.delegate_run_id is not None:
        raise InvalidDecision("an agent is at it already; wait for its run to end, or cancel that")
    if agent == row.agent:
        raise InvalidDecision("nobody asks an agent about its own call; choose another")
    run_id = _start(row, agent, by, now)
    row.delegate_run_id = run_id
    row.save(update_fields=["delegate_run_id"])
    told = {"agent": agent, "run": str(run_id)}
    reviews.note(row, by, Act(action=DecisionAction.DELEGATE, at=now, reason=reason, detail=told))
    tell(row.tenant_id, row.run_id, "approval.delegated", {"approval": str(row.pk), **told})
    return run_id


def _start(row: Approval, agent: str, by: Actor, now: datetime) -> UUID:
    try:
        version, program = resolve(agent, None)
        first = first_checkpoint(program.graph, accepted_input(program, _question(row)))
    except UnknownAgent:
        raise InvalidDecision(f"there is no agent {agent}") from None
    except InvalidInput as error:
        raise InvalidDecision(
            f"agent {agent} takes no questions: its input is no object with a `message`"
        ) from error
    start = StartRun(agent=agent, input=None, by=by, deadline=row.expires_at - now)
    return accept(start, version, program, first, now=now, answers=row.pk)


def _question(row: Approval) -> JsonObject:
    """Write the question as an agent reads it: what another agent wrote is marked as data."""
    arguments = json.dumps(row.arguments, ensure_ascii=False, indent=1)
    marked = delimited(arguments, source=row.tool, place=str(row.pk))
    message = (
        f"The agent {row.agent} asks to call the tool {row.tool} (risk {row.risk or 'unknown'}). "
        f"It was held: {row.reason or row.rule}.\n\nIts arguments:\n{marked}\n\n"
        f"{MAY[terms_from_json(row.terms).agents_may]} Answer with text, or with an object: "
        '{"decision": "approve", "reject" or "respond", "reason": ..., "result": ...}.'
    )
    plain: JsonObject = storable(
        {
            "message": message,
            "approval": str(row.pk),
            "tool": row.tool,
            "arguments": row.arguments,
        }
    )
    return plain
