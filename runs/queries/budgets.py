"""Whose budgets they are, in words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final
from uuid import UUID

from policy.models import Budget, BudgetScope, Principal, Team
from policy.queries import BudgetView
from runs.models import Agent

NAMED: Final[dict[str, Any]] = {
    BudgetScope.TEAM: Team,
    BudgetScope.USER: Principal,
    BudgetScope.AGENT: Agent,
}
GROUPS: Final[dict[str, str]] = {
    BudgetScope.TEAM: "Teams",
    BudgetScope.USER: "People and services",
    BudgetScope.AGENT: "Agents",
}
MOST_OWNERS: Final = 500


def named(budgets: Iterable[BudgetView]) -> list[tuple[BudgetView, str]]:
    """Give each budget with whose it is: "team Sales", "the tenant", "run 0197…"."""
    every = list(budgets)
    names: dict[UUID, str] = {}
    for scope, rows in NAMED.items():
        ids = [budget.scope_id for budget in every if budget.scope == scope]
        if ids:
            names |= dict(rows.objects.filter(pk__in=ids).values_list("id", "name"))
    return [(budget, _words(budget, names)) for budget in every]


def owners() -> list[tuple[str, list[tuple[str, str]]]]:
    """List who may get a budget and has none, in groups: what a form sends, and the name."""
    taken = set(Budget.objects.exclude(scope__in=["run", "child"]).values_list("scope", "scope_id"))
    is_bound = any(scope == BudgetScope.TENANT for scope, _ in taken)
    groups = [("", [] if is_bound else [("tenant", "The tenant")])]
    for scope, rows in NAMED.items():
        known = rows.objects.order_by("name").values_list("id", "name")[:MOST_OWNERS]
        some = [(f"{scope}:{id_}", name) for id_, name in known if (scope, id_) not in taken]
        groups.append((GROUPS[scope], some))
    groups.append(("Threads", [("thread", "A thread, by its id")]))
    return [(group, some) for group, some in groups if some]


def _words(budget: BudgetView, names: dict[UUID, str]) -> str:
    if budget.scope == BudgetScope.TENANT:
        return "the tenant"
    known_as = names.get(budget.scope_id, f"…{str(budget.scope_id)[-6:]}")
    return f"{budget.scope} {known_as}"
