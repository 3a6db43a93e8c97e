"""Lift a budget: nothing is limited by it any more, and what it counts stays readable."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from uuid import UUID

from policy import budgets
from policy.audit import record
from policy.core.actor import Actor
from policy.core.money import Amounts, Balance, Limits
from policy.errors import InvalidBudget
from policy.models import Budget, ProposalKind
from runs.errors import UnknownBudget
from runs.operations.propose_change import propose_change
from runs.operations.raise_budget import call_upon, runs_under


def lift_budget(budget_id: UUID, *, reason: str, by: Actor, now: datetime) -> UUID | None:
    """Take a budget's limits away, and call upon the runs that waited for it.

    It is a raise without end: where the tenant lets nobody raise any amount alone, and money
    is limited, it is only proposed. Gives the proposal's id then.

    Raises:
        UnknownBudget: this tenant has no such budget.
        InvalidBudget: it limits nothing, or no reason is given.
    """
    budget = Budget.objects.filter(pk=budget_id).first()
    if budget is None:
        raise UnknownBudget(f"there is no budget {budget_id}")
    if not reason.strip():
        raise InvalidBudget("say why: the reason is kept", "/reason")
    _check_limits(budget)
    if budget.cost_limit is not None and budgets.some_need_another():
        return propose_change(budget, ProposalKind.LIFT, {}, reason=reason, by=by)
    carry_out_lift(budget_id, reason=reason, by=by, now=now)
    return None


def carry_out_lift(
    budget_id: UUID, *, reason: str, by: Actor, now: datetime, confirmed_by: str = ""
) -> None:
    """Lift a budget that may be lifted."""
    runs = runs_under(budget_id)
    found = budgets.locked(budget_id)
    if found is None:
        raise UnknownBudget(f"there is no budget {budget_id}")
    row, balance = found
    _check_limits(row)
    budgets.keep(row, _lifted(balance))
    facts = {"reason": reason, "at": now.isoformat()}
    facts |= {"confirmed_by": confirmed_by} if confirmed_by else {}
    record(by, "budget.lifted", f"budget/{budget_id}", facts)
    call_upon(row, runs, {"lifted": True})


def _check_limits(budget: Budget) -> None:
    every = (budget.cost_limit, budget.tokens_limit, budget.model_calls_limit)
    if {*every, budget.tool_calls_limit} == {None}:
        raise InvalidBudget("it limits nothing, so there is nothing to lift")


def _lifted(balance: Balance) -> Balance:
    life = replace(balance.life, extras=())
    free = replace(balance, limits=Limits(), lapsed=Amounts(), soft=Limits(), life=life)
    return replace(free, alerted=frozenset())
