"""Budgets: what may be spent, what was, and the form that raises a limit."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from typing import Final
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.dateparse import parse_date

from policy import queries as policy_queries
from policy.budgets import left_alone
from policy.console.pages import StaffRequest, attempt, first_time, may, page, require, staff_page
from policy.core.money import Unit
from policy.errors import InvalidRaise
from policy.models import BudgetScope, RaiseKind, Role
from policy.queries import BudgetView
from runs import queries
from runs.errors import RunsError, UnknownBudget
from runs.operations.decide_raise import confirm_raise, decline_raise
from runs.operations.raise_budget import Raise, raise_budget
from runs.queries.attribution import Attribute, attribution

SHOWN: Final = 100
SHARED: Final = (
    BudgetScope.TENANT,
    BudgetScope.TEAM,
    BudgetScope.AGENT,
    BudgetScope.USER,
    BudgetScope.THREAD,
)
RAISED: Final = "Raised. Runs that waited for it go on."
PROPOSED: Final = "Proposed. It is raised when somebody else confirms it."


@staff_page
def index(request: StaffRequest) -> HttpResponse:
    """List the budgets that many runs share, the widest first, then those of the newest runs."""
    shared = [
        budget
        for scope in SHARED
        for budget in policy_queries.budgets(scope=scope, position=None, limit=SHOWN).items
    ]
    own = policy_queries.budgets(scope=BudgetScope.RUN, position=None, limit=SHOWN).items
    return page(
        request,
        "console/budgets.html",
        "Budgets",
        shared=queries.named(shared),
        own=own,
        may_set=may(request.actor, Role.FINANCE),
    )


@staff_page
def detail(request: StaffRequest, budget_id: UUID) -> HttpResponse:
    """Show one budget, who raised it, who was told, and the form to raise it."""
    budget = _known(budget_id)
    [(_, name)] = queries.named([budget])
    allowed = policy_queries.alone()
    return page(
        request,
        "console/budget.html",
        f"Budget of {name}",
        budget=budget,
        name=name,
        forecasts=policy_queries.forecasts(budget),
        raises=policy_queries.raises_of(budget_id),
        proposals=policy_queries.proposals_of(budget_id),
        alerts=policy_queries.alerts_of(budget_id),
        periods=policy_queries.periods_of(budget_id),
        alone=allowed,
        alone_hours=allowed.within // timedelta(hours=1),
        alone_left=left_alone(request.actor.identity, timezone.now()),
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
        wanted = _asked(request)
        if not first_time(request, "console.budgets.raise"):
            raise InvalidRaise("this form was sent before; the limit was raised then")
        proposal = raise_budget(budget.id, wanted, by=request.actor, now=timezone.now())
        messages.success(request, RAISED if proposal is None else PROPOSED)

    attempt(request, act, RunsError)
    return redirect("console-budget", budget_id)


@staff_page
def spending(request: StaffRequest) -> HttpResponse:
    """Tell apart what was spent in some days, by one thing or another."""
    asked = request.GET.get("by", Attribute.AGENT)
    by = Attribute(asked) if asked in list(Attribute) else Attribute.AGENT
    today = timezone.now().date()
    last = _day(request.GET.get("until", "")) or today
    first = _day(request.GET.get("since", "")) or last - timedelta(days=29)
    since = datetime.combine(min(first, last), time.min, tzinfo=UTC)
    until = datetime.combine(max(first, last), time.min, tzinfo=UTC) + timedelta(days=1)
    return page(
        request,
        "console/spending.html",
        "Spending",
        every=list(Attribute),
        by=by.value,
        first=min(first, last).isoformat(),
        last=max(first, last).isoformat(),
        rows=attribution(by, since=since, until=until),
    )


@staff_page
def confirm(request: StaffRequest, budget_id: UUID, proposal_id: UUID) -> HttpResponse:
    """Confirm or decline a raise that waits for a second person, by POST only."""
    if request.method != "POST":
        return redirect("console-budget", budget_id)

    def act() -> None:
        require(request.actor, Role.FINANCE)
        now = timezone.now()
        if request.POST.get("decision") == "confirm":
            confirm_raise(budget_id, proposal_id, by=request.actor, now=now)
            messages.success(request, RAISED)
            return
        decline_raise(budget_id, proposal_id, reason=_words(request), by=request.actor, now=now)
        messages.success(request, "Declined. Nothing was raised.")

    attempt(request, act, RunsError)
    return redirect("console-budget", budget_id)


def _words(request: StaffRequest) -> str:
    return request.POST.get("reason", "").strip().replace("\x00", "")[:500]


def _asked(request: StaffRequest) -> Raise:
    """Read what is to be raised, and for how long.

    Raises:
        InvalidRaise: the unit or kind is none of ours, the amount no number, or the date no date.
    """
    unit, text = request.POST.get("unit", ""), request.POST.get("amount", "").strip()
    try:
        amount = Decimal(text)
    except InvalidOperation:
        raise InvalidRaise(f"{text[:40]!r} is not an amount") from None
    if unit not in list(Unit):
        raise InvalidRaise("choose what to raise")
    kind = request.POST.get("kind", RaiseKind.PERMANENT)
    if kind not in RaiseKind.values:
        raise InvalidRaise("choose for how long to raise it")
    until = _until(request) if kind == RaiseKind.UNTIL else None
    return Raise(
        unit=Unit(unit), amount=amount, reason=_words(request), kind=RaiseKind(kind), until=until
    )


def _until(request: StaffRequest) -> datetime:
    """Read the last day of a raise, in UTC: it ends when the day does.

    Raises:
        InvalidRaise: it is no date.
    """
    day = _day(request.POST.get("until", ""))
    if day is None:
        raise InvalidRaise("name the last day on which the raise holds, like 2030-12-31")
    return datetime.combine(day, time.min, tzinfo=UTC) + timedelta(days=1)


def _day(text: str) -> date | None:
    try:
        return parse_date(text)
    except ValueError:
        return None


def _known(budget_id: UUID) -> BudgetView:
    try:
        return queries.known_budget(budget_id)
    except UnknownBudget as error:
        raise Http404(str(error)) from None
