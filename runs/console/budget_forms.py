"""The forms of budgets: add one, change what it allows, lift it. They act as the API does."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.dateparse import parse_date

from policy.console.pages import StaffRequest, attempt, first_time, may, page, require, staff_page
from policy.core.money import Limits, Period, Unit
from policy.errors import InvalidBudget
from policy.models import BudgetScope, Role
from policy.queries import BudgetView
from runs import queries
from runs.errors import RunsError, UnknownBudget
from runs.operations.lift_budget import lift_budget
from runs.operations.set_budget import SetBudget, change_budget, make_budget
from runs.queries.budgets import owners

MOST_DIGITS: Final = 20
PROPOSED: Final = "Proposed. It holds when somebody else confirms it."


@staff_page
def add(request: StaffRequest) -> HttpResponse:
    """Add a budget for somebody who has none; a form that is refused keeps what was filled in."""
    made: list[UUID] = []

    def act() -> None:
        require(request.actor, Role.FINANCE)
        scope, scope_id = _whose(request)
        wanted = _wanted(request.POST)
        if not first_time(request, "console.budgets.add"):
            raise InvalidBudget("this form was sent before; the budget was added then")
        made.append(make_budget(scope, scope_id, wanted, by=request.actor, now=timezone.now()))

    if request.method == "POST" and attempt(request, act, RunsError):
        messages.success(request, "Added. It counts for runs that begin from now on.")
        return redirect("console-budget", made[0])
    return _form(request, "Add a budget", owners=owners())


@staff_page
def change(request: StaffRequest, budget_id: UUID) -> HttpResponse:
    """Change what a budget allows, if it is still as it was shown."""
    budget = _known(budget_id)

    def act() -> None:
        require(request.actor, Role.FINANCE)
        proposal = change_budget(
            budget_id,
            _wanted(request.POST),
            version=_version(request.POST),
            reason=request.POST.get("reason", "").replace("\x00", "").strip()[:500],
            by=request.actor,
            now=timezone.now(),
        )
        messages.success(request, "Changed." if proposal is None else PROPOSED)

    if request.method == "POST" and attempt(request, act, RunsError):
        return redirect("console-budget", budget_id)
    [(_, name)] = queries.named([budget])
    return _form(request, f"Change the budget of {name}", budget=budget, name=name)


@staff_page
def lift(request: StaffRequest, budget_id: UUID) -> HttpResponse:
    """Take a budget's limits away, by POST only."""
    budget = _known(budget_id)

    def act() -> None:
        require(request.actor, Role.FINANCE)
        reason = request.POST.get("reason", "").replace("\x00", "").strip()[:500]
        proposal = lift_budget(budget.id, reason=reason, by=request.actor, now=timezone.now())
        lifted = "Lifted. It limits nothing any more, and goes on counting."
        messages.success(request, lifted if proposal is None else PROPOSED)

    if request.method == "POST":
        attempt(request, act, RunsError)
    return redirect("console-budget", budget_id)


def _form(
    request: StaffRequest, title: str, *, budget: BudgetView | None = None, **more: Any
) -> HttpResponse:
    given = request.POST if request.method == "POST" else _filled(budget)
    return page(
        request,
        "console/budget_form.html",
        title,
        budget=budget,
        given=given,
        units=[(unit, given.get(f"limit-{unit}"), given.get(f"soft-{unit}")) for unit in Unit],
        periods=_periods(budget),
        version=given.get("version", ""),
        may_set=may(request.actor, Role.FINANCE),
        **more,
    )


def _periods(budget: BudgetView | None) -> list[Period]:
    """Offer what a budget may have: a run's has no periods, and periods are for good."""
    if budget is not None and budget.scope in {BudgetScope.RUN, BudgetScope.CHILD}:
        return [Period.NONE]
    has_periods = budget is not None and budget.period != Period.NONE
    return [period for period in Period if not has_periods or period is not Period.NONE]


def _filled(budget: BudgetView | None) -> dict[str, str]:
    if budget is None:
        return {}
    limits = {f"limit-{one.unit}": _plain(one.limit) for one in budget.units}
    soft = {f"soft-{one.unit}": _plain(one.soft) for one in budget.units}
    return {**limits, **soft, "period": budget.period, "version": str(budget.version)}


def _plain(amount: Decimal | None) -> str:
    return "" if amount is None else f"{amount.normalize():f}"


def _whose(request: StaffRequest) -> tuple[BudgetScope, UUID]:
    """Read whose budget it is to be: `tenant`, `thread` with an id beside it, or `team:ID`.

    Raises:
        InvalidBudget: it is nobody's.
    """
    scope, _, identity = request.POST.get("whose", "").partition(":")
    if scope == BudgetScope.TENANT:
        return BudgetScope.TENANT, request.tenant.id
    if scope == BudgetScope.THREAD:
        identity = request.POST.get("thread", "").strip()
    try:
        return BudgetScope(scope), UUID(identity)
    except ValueError:
        is_thread = scope == BudgetScope.THREAD
        said = "give the id of the thread" if is_thread else "choose whose budget it is"
        raise InvalidBudget(said) from None


def _wanted(form: Mapping[str, str]) -> SetBudget:
    """Read limits, soft limits and period.

    Raises:
        InvalidBudget: one of them makes no sense.
    """
    period = form.get("period", Period.NONE)
    if period not in list(Period):
        raise InvalidBudget("choose how often it begins anew")
    limits = {unit.value: _amount(unit, form.get(f"limit-{unit}", "")) for unit in Unit}
    soft = {unit.value: _amount(unit, form.get(f"soft-{unit}", "")) for unit in Unit}
    return SetBudget(
        limits=Limits(**limits),
        soft=Limits(**soft),
        period=Period(period),
        anchor=_anchor(form.get("anchor", "")),
    )


def _amount(unit: Unit, text: str) -> Any:
    said = text.strip().replace(",", "")
    if not said:
        return None
    try:
        amount = Decimal(said)
    except InvalidOperation:
        raise InvalidBudget(f"{text[:40]!r} is no amount of {unit.replace('_', ' ')}") from None
    if not amount.is_finite() or len(said) > MOST_DIGITS:
        raise InvalidBudget(f"{text[:40]!r} is no amount of {unit.replace('_', ' ')}")
    if unit is Unit.COST:
        return amount
    if amount != amount.to_integral_value():
        raise InvalidBudget(f"{unit.replace('_', ' ')} are counted in whole numbers")
    return int(amount)


def _anchor(text: str) -> datetime | None:
    if not text.strip():
        return None
    try:
        day = parse_date(text.strip())
    except ValueError:
        day = None
    if day is None:
        raise InvalidBudget("name the day on which a period begins, like 2030-12-31")
    return datetime.combine(day, time.min, tzinfo=UTC)


def _version(form: Mapping[str, str]) -> int:
    text = form.get("version", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0  # noqa: PLR2004


def _known(budget_id: UUID) -> BudgetView:
    try:
        return queries.known_budget(budget_id)
    except UnknownBudget as error:
        raise Http404(str(error)) from None
