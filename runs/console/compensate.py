"""The page on which a person sees what of a run can be undone, and has it undone."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from policy.console.pages import StaffRequest, attempt, may, page, require, staff_page
from policy.models import Role
from runs import queries
from runs.core.recorded.compensation import Compensation
from runs.errors import RunsError, UnknownRun
from runs.operations.compensate import ALLOWED, Compensate, compensate_run

LONGEST_REASON: Final = 500


@staff_page
def compensate(request: StaffRequest, run_id: UUID) -> HttpResponse:
    """Show what can be compensated; by POST, have it done."""
    try:
        run = queries.run(run_id)
    except UnknownRun as error:
        raise Http404(str(error)) from None
    if request.method == "POST":
        return _done(request, run_id)
    found = queries.all_seen_by(request.actor, queries.compensations(run_id))
    return page(
        request,
        "console/compensate.html",
        f"Compensate the run of {run.agent}",
        run=run,
        found=found,
        can=sum(one.state is Compensation.OPEN for one in found),
        may_operate=may(request.actor, Role.OPERATOR),
        is_at_rest=run.state in ALLOWED,
    )


def _done(request: StaffRequest, run_id: UUID) -> HttpResponse:
    chosen = request.POST.getlist("effect")
    reason = request.POST.get("reason", "").strip().replace("\x00", "")[:LONGEST_REASON]
    made: list[UUID] = []

    def act() -> None:
        require(request.actor, Role.OPERATOR)
        command = Compensate(run_id=run_id, effects=chosen, reason=reason)
        made.append(compensate_run(command, by=request.actor, now=timezone.now())[0])

    if attempt(request, act, RunsError):
        messages.success(request, "This run compensates, the newest effect first.")
        return redirect("console-run", made[0])
    return redirect("console-compensate", run_id)
