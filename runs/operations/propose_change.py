"""Leave what one person may not do to a budget alone for somebody else to confirm."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

from uuid_utils.compat import uuid7

from policy.audit import record
from policy.core.actor import Actor
from policy.core.json import JsonObject
from policy.core.money import Unit
from policy.models import Budget, ProposalKind, RaiseProposal


def propose_change(
    budget: Budget, kind: ProposalKind, change: JsonObject, *, reason: str, by: Actor
) -> UUID:
    """Leave another period, or a lift, for somebody else; nothing is changed until then."""
    proposal = RaiseProposal(
        id=uuid7(),
        budget=budget,
        unit=Unit.COST,
        amount=Decimal(0),
        kind=kind,
        change=change,
        reason=reason,
        proposed_by=by.name,
        proposed_by_id=by.identity,
    )
    proposal.save(force_insert=True)
    facts: JsonObject = {"kind": kind, "reason": reason, "proposal": str(proposal.pk), **change}
    record(by, "budget.change_proposed", f"budget/{budget.pk}", facts)
    return proposal.pk
