"""Whose budgets they are, in words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final
from uuid import UUID

from policy.models import BudgetScope, Principal, Team
from policy.queries import BudgetView
from runs.models import Agent

NAMED: Final[dict[str, Any]] = {
    BudgetScope.TEAM: Team,
    BudgetScope.USER: Principal,
    BudgetScope.AGENT: Agent,
}


def named(budgets: Iterable[BudgetView]) -> list[tuple[BudgetView, str]]:
    """Give each budget with whose it is: "team Sales", "the tenant", "run 0197…"."""
    every = list(budgets)
    names: dict[UUID, str] = {}
    for scope, rows in NAMED.items():
        ids = [budget.scope_id for budget in every if budget.scope == scope]
        if ids:
            names |= dict(rows.objects.filter(pk__in=ids).values_list("id", "name"))
    return [(budget, _words(budget, names)) for budget in every]


def _words(budget: BudgetView, names: dict[UUID, str]) -> str:
    if budget.scope == BudgetScope.TENANT:
        return "the tenant"
    known_as = names.get(budget.scope_id, f"…{str(budget.scope_id)[-6:]}")
    return f"{budget.scope} {known_as}"
