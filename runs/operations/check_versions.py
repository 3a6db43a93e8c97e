"""Whether the code of today can run what waits; and what to do for runs whose version is back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Exists, OuterRef

from policy.core.actor import Actor
from runs import queries
from runs.agents.versions import why_not
from runs.core.checkpoint import Checkpoint as Point
from runs.core.lifecycle import Reason, RunState
from runs.errors import IllegalMove
from runs.models import Checkpoint, Run
from runs.operations.resume import resume_run
from runs.queries import LiveVersion


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A version that unfinished runs are pinned to, and why this code cannot run it, if so."""

    version: LiveVersion
    why: str


def stranded_and_not() -> list[Checked]:
    """Check every version that the scope's unfinished runs are pinned to; changes nothing."""
    return [
        Checked(version=version, why=why_not(version.id) or _too_new(version))
        for version in queries.live_versions()
    ]


def _too_new(version: LiveVersion) -> str:
    """Look whether runs stand at checkpoints that newer code wrote."""
    newest = Checkpoint.objects.filter(
        run_id=OuterRef("pk"), super_step=OuterRef("super_step"), head__v__gt=Point.VERSION
    )
    runs = Run.objects.filter(agent_version_id=version.id, finished_at=None)
    newer = runs.filter(Exists(newest)).count()
    return f"{newer} stand at checkpoints that newer code wrote" if newer else ""


def resume_returned(checked: Iterable[Checked], *, by: Actor) -> int:
    """Resume parked runs of versions that this code can run (again), and count them."""
    back = [one.version.id for one in checked if not one.why]
    parked = Run.objects.filter(
        agent_version_id__in=back,
        state=RunState.INTERRUPTED,
        reason=Reason.VERSION,
        finished_at=None,
    )
    resumed = 0
    for run_id in list(parked.order_by("id").values_list("id", flat=True)):
        try:
            resume_run(run_id, by=by, reason="its version is back")
        except IllegalMove:  # somebody else was faster
            continue
        resumed += 1
    return resumed
