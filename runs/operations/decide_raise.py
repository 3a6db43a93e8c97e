"""Confirm or decline a raise that is more than one person may decide alone."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from policy.audit import record
from policy.core.actor import Actor
from policy.core.json import JsonObject
from policy.core.money import Unit
from policy.errors import InvalidRaise, NotAllowed
from policy.models import (
    Budget,
    BudgetScope,
    Principal,
    ProposalKind,
    ProposalState,
    RaiseKind,
    RaiseProposal,
)
from runs.errors import UnknownBudget
from runs.models import Run
from runs.operations.lift_budget import carry_out_lift
from runs.operations.raise_budget import Raise, carry_out, told
from runs.operations.set_budget import SetBudget, carry_out_change


def confirm_raise(budget_id: UUID, proposal_id: UUID, *, by: Actor, now: datetime) -> None:
    """Carry out a raise that somebody else proposed.

    Raises:
        UnknownBudget: this budget has no such proposal.
        NotAllowed: who confirms has proposed it, or started the run that would get the money.
        InvalidRaise: it was decided before, or its date is over.
    """
    proposal = _open(budget_id, proposal_id)
    if proposal.proposed_by_id == by.identity:
        raise NotAllowed("whoever proposed a raise cannot confirm it; ask somebody else")
    if by.identity in _starters(proposal.budget):
        raise NotAllowed("whoever started a run cannot confirm a raise for it; ask somebody else")
    if proposal.until is not None and proposal.until <= now:
        raise InvalidRaise("the date is over; decline it, and propose another")
    # The run's row is locked before the budget's, so the proposal's own row comes first of all.
    _decided(proposal, ProposalState.CONFIRMED, by, now)
    _carry_out(proposal, _proposer(proposal), now=now, confirmed_by=by.name)
    record(by, "budget.raise_confirmed", f"budget/{budget_id}", _told(proposal))


def _proposer(proposal: RaiseProposal) -> Actor:
    """Give who proposed it: a principal by its id, or who is none by kind and name."""
    identity, name = proposal.proposed_by_id, proposal.proposed_by
    if ":" in identity:
        is_command = identity.startswith("system:")
        return Actor(principal_id="", name=name, kind="system" if is_command else "user")
    is_person = Principal.objects.filter(pk=identity, user__isnull=False).exists()
    return Actor(principal_id=identity, name=name, kind="user" if is_person else "service")


def _carry_out(
    proposal: RaiseProposal, proposer: Actor, *, now: datetime, confirmed_by: str
) -> None:
    budget_id, reason = proposal.budget_id, proposal.reason
    match ProposalKind(proposal.kind):
        case ProposalKind.LIFT:
            carry_out_lift(
                budget_id, reason=reason, by=proposer, now=now, confirmed_by=confirmed_by
            )
        case ProposalKind.PERIOD:
            wanted = SetBudget.read(proposal.change)
            carry_out_change(budget_id, wanted, by=proposer, now=now, confirmed_by=confirmed_by)
        case ProposalKind.PERMANENT | ProposalKind.ONCE | ProposalKind.UNTIL:
            more = _wanted(proposal)
            carry_out(budget_id, more, by=proposer, now=now, confirmed_by=confirmed_by)


def decline_raise(
    budget_id: UUID, proposal_id: UUID, *, reason: str, by: Actor, now: datetime
) -> None:
    """Decide that a proposed raise is not made; who proposed it may take it back so.

    Raises:
        UnknownBudget: this budget has no such proposal.
        InvalidRaise: it was decided before.
    """
    proposal = _open(budget_id, proposal_id)
    _decided(proposal, ProposalState.DECLINED, by, now)
    facts = {**_told(proposal), "why": reason}
    record(by, "budget.raise_declined", f"budget/{budget_id}", facts)


def _told(proposal: RaiseProposal) -> JsonObject:
    named: JsonObject = {"proposal": str(proposal.pk)}
    if proposal.kind in {ProposalKind.LIFT, ProposalKind.PERIOD}:
        return {**named, "kind": proposal.kind, "reason": proposal.reason, **proposal.change}
    return {**named, **told(_wanted(proposal))}


def _open(budget_id: UUID, proposal_id: UUID) -> RaiseProposal:
    """Lock a proposal that nobody has decided."""
    proposal = (
        RaiseProposal.objects.select_for_update(no_key=True, of=("self",))
        .select_related("budget")
        .filter(pk=proposal_id, budget_id=budget_id)
        .first()
    )
    if proposal is None:
        raise UnknownBudget(f"budget {budget_id} has no proposed raise {proposal_id}")
    if proposal.state != ProposalState.OPEN:
        raise InvalidRaise(f"this raise was {proposal.state} by {proposal.decided_by} before")
    return proposal


def _decided(proposal: RaiseProposal, state: ProposalState, by: Actor, now: datetime) -> None:
    RaiseProposal.objects.filter(pk=proposal.pk).update(
        state=state, decided_by=by.name, decided_at=now
    )


def _wanted(proposal: RaiseProposal) -> Raise:
    return Raise(
        unit=Unit(proposal.unit),
        amount=proposal.amount,
        reason=proposal.reason,
        kind=RaiseKind(proposal.kind),
        until=proposal.until,
    )


def _starters(budget: Budget) -> set[str]:
    """Name who started the run that a budget is about; of a shared one, nobody in particular."""
    if budget.scope not in {BudgetScope.RUN, BudgetScope.CHILD}:
        return set()
    run = Run.objects.filter(pk=budget.scope_id).first()
    return set() if run is None or run.principal_id is None else {str(run.principal_id)}
