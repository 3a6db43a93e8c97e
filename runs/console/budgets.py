"""Budgets: what may be spent, what was, and the form that raises a limit."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Final
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from policy import queries as policy_queries
from policy.console.pages import StaffRequest, attempt, first_time, may, page, require, staff_page
from policy.core.money import Unit
from policy.errors import InvalidRaise
from policy.models import Role
from policy.queries import BudgetView
from runs import queries
from runs.errors import RunsError, UnknownBudget
from runs.operations.raise_budget import raise_budget

SHOWN: Final = 100


@staff_page
def index(request: StaffRequest) -> HttpResponse:
    """List the tenant's own budgets first, then those of its newest runs."""
    of_tenant = policy_queries.budgets(scope="tenant", position=None, limit=SHOWN).items
    of_runs = policy_queries.budgets(scope="run", position=None, limit=SHOWN).items
    return page(request, "console/budgets.html", "Budgets", rows=[*of_tenant, *of_runs])


@staff_page
def detail(request: StaffRequest, budget_id: UUID) -> HttpResponse:
    """Show one budget, who raised it, and the form to raise it."""
    budget = _known(budget_id)
    return page(
        request,
        "console/budget.html",
        f"Budget of a {budget.scope}",
        budget=budget,
        raises=policy_queries.raises_of(budget_id),
        may_raise=may(request.actor, Role.FINANCE),
        limited=[balance for balance in budget.units if balance.limit is not None],
    )


@staff_page
def increase(request: StaffRequest, budget_id: UUID) -> HttpResponse:
    """Raise a limit, by POST only. The same form sent twice raises once."""
    budget = _known(budget_id)
    if request.method != "POST":
        return redirect("console-budget", budget_id)

    def act() -> None:
        require(request.actor, Role.FINANCE)
        unit, amount = _asked(request)
        if not first_time(request, "console.budgets.raise"):
            raise InvalidRaise("this form was sent before; the limit was raised then")
        reason = request.POST.get("reason", "").strip().replace("\x00", "")[:500]
        raise_budget(
            budget.id,
            unit=unit,
            amount=amount,
            reason=reason,
            by=request.actor,
            now=timezone.now(),
        )

    if attempt(request, act, RunsError):
        messages.success(request, "Raised. Runs that waited for it go on.")
    return redirect("console-budget", budget_id)


def _asked(request: StaffRequest) -> tuple[Unit, Decimal]:
    """Read unit and amount.

    Raises:
        InvalidRaise: the unit is none of ours, or the amount no number.
    """
    unit, text = request.POST.get("unit", ""), request.POST.get("amount", "").strip()
    try:
        amount = Decimal(text)
    except InvalidOperation:
        raise InvalidRaise(f"{text[:40]!r} is not an amount") from None
    if unit not in list(Unit):
        raise InvalidRaise("choose what to raise")
    return Unit(unit), amount


def _known(budget_id: UUID) -> BudgetView:
    try:
        return queries.known_budget(budget_id)
    except UnknownBudget as error:
        raise Http404(str(error)) from None
