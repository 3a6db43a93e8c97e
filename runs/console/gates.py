"""Limits and breakers: what holds calls back for a while, and who may change that."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from policy.console.pages import StaffRequest, attempt, first_time, may, page, require, staff_page
from policy.core.limits import DIMENSIONS
from policy.errors import InvalidLimit, InvalidSwitch
from policy.models import RateLimit, Role
from policy.operations.limits import SetLimit, add_limit, change_limit, remove_limit
from runs.errors import RunsError
from runs.operations.hold_breaker import hold_breaker
from runs.queries.breakers import breakers, known_breaker
from runs.queries.lines import line


@staff_page
def index(request: StaffRequest) -> HttpResponse:
    """Show every dependency's breaker, and the rate limits."""
    limits = list(RateLimit.objects.order_by("name"))
    chosen = next((row for row in limits if str(row.id) == request.GET.get("limit")), None)
    return page(
        request,
        "console/gates.html",
        "Limits and breakers",
        line=line(),
        breakers=breakers(),
        limits=limits,
        chosen=chosen,
        dimensions=DIMENSIONS,
        may_change=may(request.actor, Role.OPERATOR),
    )


@staff_page
def hold(request: StaffRequest) -> HttpResponse:
    """Hold a breaker, by POST only."""
    if request.method != "POST":
        return redirect("console-gates")

    def act() -> None:
        require(request.actor, Role.OPERATOR)
        position = request.POST.get("position", "")
        if position not in {"open", "closed", "auto"}:
            raise InvalidSwitch("choose how to hold it")
        found = known_breaker(request.POST.get("dependency", ""))
        reason = request.POST.get("reason", "").replace("\x00", "")
        hold_breaker(
            found.dependency,
            position,  # type: ignore[arg-type]  # one of the three
            reason=reason,
            by=request.actor,
            now=timezone.now(),
        )

    if attempt(request, act, RunsError):
        messages.success(request, "Done. Workers follow within two seconds.")
    return redirect("console-gates")


@staff_page
def set_limit(request: StaffRequest) -> HttpResponse:
    """Set a new limit, or change one, by POST only. The same form sent twice acts once."""
    if request.method != "POST":
        return redirect("console-gates")

    def act() -> None:
        require(request.actor, Role.OPERATOR)
        wanted = _wanted(request)
        if not first_time(request, "console.limits.set"):
            raise InvalidLimit("this form was sent before; look at what it did")
        if request.POST.get("limit"):
            version = _number(request, "version")
            change_limit(UUID(request.POST["limit"]), wanted, version=version, by=request.actor)
        else:
            add_limit(wanted, by=request.actor)

    if attempt(request, act, ValueError):
        messages.success(request, "Set. Workers follow within two seconds.")
    return redirect("console-gates")


@staff_page
def remove(request: StaffRequest, limit_id: UUID) -> HttpResponse:
    """Remove a limit, by POST only."""
    if request.method == "POST":

        def act() -> None:
            require(request.actor, Role.OPERATOR)
            remove_limit(limit_id, version=_number(request, "version"), by=request.actor)

        if attempt(request, act, ValueError):
            messages.success(request, "Removed.")
    return redirect("console-gates")


def _wanted(request: StaffRequest) -> SetLimit:
    where: dict[str, Any] = {
        name: request.POST[f"where-{name}"].strip()
        for name in DIMENSIONS
        if request.POST.get(f"where-{name}", "").strip()
    }
    return SetLimit(
        name=request.POST.get("name", "").replace("\x00", "")[:100],
        unit=request.POST.get("unit", ""),
        amount=_number(request, "amount"),
        seconds=_seconds(request),
        burst=_number(request, "burst") if request.POST.get("burst", "").strip() else None,
        per=request.POST.getlist("per"),
        where=where,
        enabled=request.POST.get("enabled") == "1",
    )


def _number(request: StaffRequest, name: str) -> int:
    text = request.POST.get(name, "").strip()
    if not (text.isascii() and text.isdigit() and len(text) <= 12):  # noqa: PLR2004
        raise InvalidLimit(f"{text[:20]!r} is no whole number", f"/{name}")
    return int(text)


def _seconds(request: StaffRequest) -> float:
    text = request.POST.get("seconds", "").strip()
    try:
        return float(text)
    except ValueError:
        raise InvalidLimit(f"{text[:20]!r} is no number of seconds", "/seconds") from None
