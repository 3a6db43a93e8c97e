"""The page of one checkpoint: a run as it was, and the ways back to it and aside from it."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from policy.console.pages import (
    Outside,
    StaffRequest,
    attempt,
    first_time,
    may,
    page,
    require,
    staff_page,
)
from policy.core.json import Json, parsed
from policy.models import Role
from runs import queries
from runs.artifacts.download import downloaded
from runs.artifacts.here import kept_here
from runs.errors import (
    ArtifactLost,
    ArtifactsAway,
    HistoryGone,
    InvalidInput,
    RunsError,
    UnknownCheckpoint,
    UnknownFile,
    UnknownRun,
)
from runs.operations.fork import Fork, fork_run
from runs.operations.rewind import Rewind, rewind_run
from runs.queries import RunView

HIGHEST: Final = 2**31 - 1
MAY_GO_BACK: Final = frozenset({"queued", "waiting", "interrupted", "paused"})


@staff_page
def moment(request: StaffRequest, run_id: UUID) -> HttpResponse:
    """Show a run as it was at a checkpoint, and what came of it since."""
    run = _known(run_id)
    at = _number(request.GET.get("at"), run.super_step)
    try:
        state = queries.seen_by(request.actor, queries.state(run_id, at))
        files = queries.seen_by(request.actor, queries.files(run_id, at)).files
        since = queries.seen_by(request.actor, queries.diff(run_id, at, None))
    except UnknownCheckpoint as error:
        raise Http404(str(error)) from None
    except HistoryGone as error:
        messages.warning(request, f"Checkpoint {at} is not kept: {error}.")
        return redirect("console-run", run_id)
    standing = queries.all_seen_by(request.actor, queries.standing(run_id, at))
    return page(
        request,
        "console/moment.html",
        f"Checkpoint {at} of the run of {run.agent}",
        run=run,
        at=at,
        earlier=at - 1 if at and not run.history_removed_at else None,
        later=at + 1 if at < run.super_step else None,
        state=state,
        files=files,
        may_read=request.actor.sees_content,
        since=since,
        standing=standing,
        may_operate=may(request.actor, Role.OPERATOR),
        may_rewind=run.state in MAY_GO_BACK,
        may_fork=bool(state.tasks),
    )


@staff_page
def file(request: StaffRequest, run_id: UUID, name: str) -> HttpResponse:
    """Give the bytes of a file as of a checkpoint, to be saved."""
    run = _known(run_id)
    at = _number(request.GET.get("at"), run.super_step)
    if not request.actor.sees_content:
        raise PermissionDenied
    try:
        found = queries.file(run_id, at, name)
    except (UnknownCheckpoint, HistoryGone, UnknownFile) as error:
        raise Http404(str(error)) from None

    def answer() -> HttpResponse:
        try:
            data = kept_here().kept(str(request.tenant.id), found.digest)
        except (ArtifactLost, ArtifactsAway) as error:
            messages.error(request, f"{name} cannot be given: {error}.")
            return _back(run_id, at)
        return downloaded(data, name=name, media_type=found.media_type, digest=found.digest)

    return Outside(answer)


@staff_page
def rewind(request: StaffRequest, run_id: UUID) -> HttpResponse:
    """Take a run back to a checkpoint, by POST only."""
    run = _known(run_id)
    if request.method != "POST":
        return redirect("console-run", run_id)
    at = _number(request.POST.get("super_step"), run.super_step)
    command = Rewind(
        run_id=run_id,
        super_step=at,
        reason=_text(request, "reason", 500),
        accepting=request.POST.get("accept_irreversible") == "yes",
    )

    def act() -> None:
        require(request.actor, Role.OPERATOR)
        rewind_run(command, by=request.actor)

    if attempt(request, act, RunsError):
        messages.success(request, f"The run goes on from checkpoint {at}.")
        return redirect("console-run", run_id)
    return _back(run_id, at)


@staff_page
def fork(request: StaffRequest, run_id: UUID) -> HttpResponse:
    """Start a run from a checkpoint of another, by POST only."""
    run = _known(run_id)
    if request.method != "POST":
        return redirect("console-run", run_id)
    at = _number(request.POST.get("super_step"), run.super_step)
    made: list[UUID] = []

    def act() -> None:
        require(request.actor, Role.OPERATOR)
        command = Fork(
            run_id=run_id,
            super_step=at,
            by=request.actor,
            state=_edits(request),
            version=_text(request, "version", 50) or None,
        )
        made.append(fork_run(command, now=timezone.now()))
        if not first_time(request, "console.fork"):
            raise Twice("This form was sent before; its run is in the list of runs.")

    if attempt(request, act, RunsError):
        messages.success(request, f"Forked from checkpoint {at}. This is the new run.")
        return redirect("console-run", made[0])
    return _back(run_id, at)


class Twice(RunsError):  # noqa: N818
    """A form came a second time; nothing was started."""


def _edits(request: StaffRequest) -> dict[str, Json]:
    text = request.POST.get("state", "").strip()
    try:
        edits: Any = parsed(text) if text else {}
    except ValueError as error:
        raise InvalidInput([("/state", f"is no JSON: {error}")]) from error
    if not isinstance(edits, dict):
        raise InvalidInput([("/state", 'is an object of channels, like {"total": 1}')])
    return edits


def _back(run_id: UUID, at: int) -> HttpResponse:
    answer = redirect("console-moment", run_id)
    answer["Location"] += f"?at={at}"
    return answer


def _number(given: str | None, otherwise: int) -> int:
    text = given or ""
    is_number = text.isascii() and text.isdigit() and len(text) < 10  # noqa: PLR2004
    return min(int(text), HIGHEST) if is_number else otherwise


def _text(request: StaffRequest, name: str, longest: int) -> str:
    return request.POST.get(name, "").strip().replace("\x00", "")[:longest]


def _known(run_id: UUID) -> RunView:
    try:
        return queries.run(run_id)
    except UnknownRun as error:
        raise Http404(str(error)) from None
