"""The list of runs, and the page of one."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from policy.console.pages import StaffRequest, attempt, may, page, require, staff_page
from policy.models import Role
from policy.queries import Position
from runs import queries
from runs.console import words
from runs.errors import RunsError, UnknownRun, UnknownVersion
from runs.operations.cancel import cancel_run
from runs.operations.resume import resume_run
from runs.queries import FINAL_STATES, RunFilter, RunView

PAGE: Final = 50
TABS: Final = (
    ("", "All", frozenset[str]()),
    ("live", "Live", frozenset({"queued", "running", "waiting"})),
    ("people", "Waiting for people", frozenset({"interrupted", "paused"})),
    ("failed", "Failed", frozenset({"failed", "expired"})),
    ("done", "Done", frozenset({"succeeded", "cancelled"})),
)


@staff_page
def index(request: StaffRequest) -> HttpResponse:
    """List runs, the newest first."""
    chosen = request.GET.get("show", "")
    agent = request.GET.get("agent", "").replace("\x00", "")[:200]
    states = next((states for name, _, states in TABS if name == chosen), TABS[0][2])
    parent = _parent(request)
    wanted = RunFilter(states=states, agent=agent, parent=parent)
    found = queries.runs(wanted, position=_position(request), limit=PAGE)
    return page(
        request,
        "console/runs.html",
        "Runs",
        rows=[_row(run) for run in found.items],
        older=found.next,
        newer=found.previous,
        tabs=[(name, label) for name, label, _ in TABS],
        chosen=chosen,
        agent=agent,
        parent=parent,
        agents=[known.name for known in queries.agents()],
    )


def _row(run: queries.RunRow) -> dict[str, Any]:
    return {
        "run": run,
        "status": words.status(run),
        "tone": words.tone(run),
        "took": _took(run, now=timezone.now()),
    }


def _took(run: queries.RunRow, *, now: datetime) -> str:
    if run.started_at is None:
        return ""
    return words.span(((run.finished_at or now) - run.started_at).total_seconds())


def _parent(request: StaffRequest) -> UUID | None:
    """Read whose children are wanted; what cannot be read means everybody's."""
    try:
        return UUID(request.GET.get("parent", ""))
    except ValueError:
        return None


def _position(request: StaffRequest) -> Position | None:
    """Read where the page begins; what cannot be read begins at the newest."""
    given = request.GET
    try:
        at = datetime.fromisoformat(given.get("at", ""))
        place = Position(at=at, id=UUID(given.get("id", "")), back=given.get("back") == "1")
    except ValueError:
        return None
    return place if at.tzinfo is not None else None


@staff_page
def detail(request: StaffRequest, run_id: UUID) -> HttpResponse:
    """Show one run: where it stands, what it waits for, what it did."""
    run = queries.seen_by(request.actor, _known(run_id))
    first = run.super_step - (1 if run.history_removed_at else PAGE)
    steps = queries.steps(run_id, after=max(-1, first), limit=PAGE + 1)
    ledger = queries.effects(run_id, after=None, limit=200)
    effects = queries.all_seen_by(request.actor, ledger)
    children = queries.runs(RunFilter(parent=run_id), position=None, limit=PAGE)
    files = _files(request, run_id)
    now = timezone.now()
    return page(
        request,
        "console/run.html",
        f"Run of {run.agent}",
        **_row(run),
        steps=[_step(step, now=run.finished_at or now) for step in reversed(steps)],
        effects=[(effect, words.EFFECT_TONE.get(effect.state, "calm")) for effect in effects],
        events=queries.all_seen_by(request.actor, queries.last_events(run_id, limit=100)),
        children=[_row(child) for child in children.items],
        has_more_children=children.next is not None,
        at=files.super_step,
        files=files.files[:PAGE],
        more_files=len(files.files[PAGE:]),
        may_read=request.actor.sees_content,
        waiting_on=run.waiting_on,
        cost=sum(effect.cost for effect in effects),
        tokens=sum(effect.input_tokens + effect.output_tokens for effect in effects),
        may_operate=may(request.actor, Role.OPERATOR),
        may_cancel=run.state not in FINAL_STATES,
        may_resume=run.reason in {"poison", "version"},
        has_failed=run.state in {"failed", "expired"},
    )


def _files(request: StaffRequest, run_id: UUID) -> queries.FilesView:
    """List what files the run has now; none where newer code wrote its state, as in a deploy."""
    try:
        return queries.seen_by(request.actor, queries.files(run_id, None))
    except UnknownVersion:
        return queries.FilesView(super_step=0, files=())


def _step(step: queries.StepView, *, now: datetime) -> dict[str, Any]:
    took = ((step.committed_at or now) - step.began_at).total_seconds()
    return {"step": step, "took": words.span(took), "number": step.super_step + 1}


@staff_page
def cancel(request: StaffRequest, run_id: UUID) -> HttpResponse:
    """Cancel a run, by POST only."""
    run = _known(run_id)
    if request.method == "POST":

        def act() -> None:
            require(request.actor, Role.OPERATOR)
            cancel_run(run.id, by=request.actor, reason=_reason(request), now=timezone.now())

        if attempt(request, act, RunsError):
            messages.success(request, "Cancelled. A step that is under way ends first.")
    return redirect("console-run", run_id)


@staff_page
def resume(request: StaffRequest, run_id: UUID) -> HttpResponse:
    """Let a parked run go on, by POST only."""
    run = _known(run_id)
    if request.method == "POST":

        def act() -> None:
            require(request.actor, Role.OPERATOR)
            resume_run(run.id, by=request.actor, reason=_reason(request))

        if attempt(request, act, RunsError):
            messages.success(request, "The run goes on.")
    return redirect("console-run", run_id)


def _reason(request: StaffRequest) -> str:
    return request.POST.get("reason", "").strip().replace("\x00", "")[:500]


def _known(run_id: UUID) -> RunView:
    try:
        return queries.run(run_id)
    except UnknownRun as error:
        raise Http404(str(error)) from None
