"""Put other arguments in the place of an agent's: checked by the tool's schema and by policy."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from policy import policies, reviews
from policy.core.actor import Actor
from policy.core.json import JsonObject, digest, storable
from policy.core.rules.approvals import terms_to_json
from policy.core.rules.decide import CallRequest, Decision, Verdict, decide
from policy.core.rules.recorded import request_of
from policy.errors import InvalidDecision
from policy.models import Approval, DecisionAction
from policy.reviews import Act
from runs.models import Effect
from tools import catalogue, schemas
from tools.core.spec import ToolSpec
from tools.errors import UnknownTool


def edited(
    approval: Approval, arguments: JsonObject, *, by: Actor, reason: str, now: datetime
) -> None:
    """Change a locked approval's call. Whatever was approved before counts no more.

    Raises:
        InvalidDecision: nothing was changed, the tool is gone, its schema does not allow the
            arguments, or policy denies the call as edited.
    """
    spec = _spec(approval)
    if wrong := schemas.faults(spec, "input", arguments):
        raise InvalidDecision(f"the tool does not take these arguments: {wrong}")
    if approval.arguments == storable(dict(arguments)):
        raise InvalidDecision("these are the arguments as they are; nothing was edited")
    verdict = decide(policies.active(), _request(approval, spec, arguments, now))
    if verdict.decision is Decision.DENY:
        raise InvalidDecision(f"policy denies the call as edited: {verdict.reason}")
    before = approval.arguments
    approval.proposed = before if approval.proposed is None else approval.proposed
    approval.arguments = storable(dict(arguments))
    approval.edited_by, approval.version = by.identity, approval.version + 1
    approval.tool_version = spec.version
    _judged(approval, verdict)
    approval.save()
    # The digest is of what was stored: the database may write a number in another way.
    approval.refresh_from_db(fields=["arguments"])
    approval.digest = digest(approval.tool, spec.version, approval.arguments)
    approval.save(update_fields=["digest"])
    detail = {"before": before, "arguments": approval.arguments}
    reviews.note(
        approval, by, Act(action=DecisionAction.EDIT, at=now, reason=reason, detail=detail)
    )


def _spec(approval: Approval) -> ToolSpec:
    try:
        return catalogue.find(approval.tool)
    except UnknownTool:
        raise InvalidDecision(f"the tool {approval.tool} is gone; reject or respond") from None


def _request(
    approval: Approval, spec: ToolSpec, arguments: JsonObject, now: datetime
) -> CallRequest:
    """Give the call as it was judged before, with the edited arguments and the tool as it is.

    Nobody knows where a person's values came from but the person: origins are not carried over.
    """
    effect = Effect.objects.filter(run_id=approval.run_id, approval_id=approval.pk).first()
    if effect is None or "facts" not in effect.decision:
        raise InvalidDecision("this call was asked for before calls could be edited; reject it")
    now_known: dict[str, Any] = {
        "version": spec.version,
        "effect": spec.effect.value,
        "risk": spec.risk.value,
        "egress": spec.egress,
        "reversible": spec.reversible,
        "at": now.isoformat(),
        "provenance": {},
    }
    return request_of(approval.tool, arguments, {**effect.decision["facts"], **now_known})


def _judged(approval: Approval, verdict: Verdict) -> None:
    """Ask under what policy says of the edited call; where it would allow it, as before."""
    approval.policy_version = verdict.policy_version
    if verdict.decision is Decision.ALLOW:
        approval.reason = f"as edited, rule {verdict.rule} would allow it"[:500]
        return
    approval.rule, approval.reason = verdict.rule, verdict.reason[:500]
    if terms_to_json(verdict.terms) != approval.terms:
        approval.terms = terms_to_json(verdict.terms)
        approval.groups, approval.owners = list(verdict.terms.groups), list(verdict.terms.owners)
