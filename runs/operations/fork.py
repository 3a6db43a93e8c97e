"""Fork a run: a new one that goes on from a checkpoint of another, with its own history."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from policy.core.actor import Actor
from policy.core.json import Json, JsonObject, storable
from policy.core.money import Limits
from runs import queries
from runs.agents.program import Program
from runs.agents.versions import program_of, resolve
from runs.core.graph import INPUT
from runs.core.recorded.travel import forked
from runs.errors import UnknownRun
from runs.models import AgentVersion, Run
from runs.operations.start import Origin, StartRun, accept, accepted_input


@dataclass(frozen=True, slots=True, kw_only=True)
class Fork:
    """Where to go on from, and what is to be different there.

    `state` replaces channels; without `version` it is the origin's, as it was there.
    """

    run_id: UUID
    super_step: int
    by: Actor
    state: Mapping[str, Json] = field(default_factory=dict)
    version: str | None = None
    budget: Limits | None = None
    deadline: timedelta | None = None
    metadata: JsonObject = field(default_factory=dict)


def fork_run(command: Fork, *, now: datetime) -> UUID:
    """Accept a run that begins with all that the other knew at the checkpoint.

    The other run is not touched, and may have ended.

    Raises:
        UnknownRun: this tenant has no such run.
        UnknownCheckpoint: the run has no such checkpoint.
        UnknownAgent: there is no such version, or this code cannot run it.
        InvalidInput: the edited state, or the version, does not fit.
    """
    origin = Run.objects.filter(pk=command.run_id).first()
    if origin is None:
        raise UnknownRun(f"there is no run {command.run_id}")
    version, program = _program(command, origin)
    edits: dict[str, Json] = storable(dict(command.state))
    if INPUT in edits:
        edits[INPUT] = accepted_input(program, edits[INPUT], at=f"/state/{INPUT}")
    past = queries.checkpoint_of(origin.pk, command.super_step)
    first = forked(program.graph, past, edits)
    start = StartRun(
        agent=program.name,
        input=None,
        by=command.by,
        budget=command.budget,
        deadline=command.deadline,
        metadata=command.metadata,
    )
    source = Origin(run_id=origin.pk, super_step=command.super_step)
    return accept(start, version, program, first, now=now, origin=source)


def _program(command: Fork, origin: Run) -> tuple[AgentVersion, Program]:
    if command.version is not None:
        return resolve(origin.agent_name, command.version)
    version_id = queries.version_at(origin.pk, command.super_step)
    return AgentVersion.objects.get(pk=version_id), program_of(version_id)
