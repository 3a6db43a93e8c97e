"""Compensate what a run did: by a run of its own, durable and governed as any."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from policy.audit import record
from policy.core.actor import Actor
from policy.core.json import storable
from policy.core.money import Limits
from runs import queries
from runs.agents.compensation import MOST, compensation
from runs.agents.versions import compensation_version
from runs.core.lifecycle import FINAL, RunState
from runs.core.plan import first_checkpoint
from runs.core.recorded.compensation import Compensation
from runs.errors import IllegalMove, NothingToCompensate, UnknownRun
from runs.models import Run
from runs.operations.start import StartRun, accept
from runs.queries import CompensationView

ALLOWED = FINAL | {RunState.PAUSED, RunState.INTERRUPTED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Compensate:
    """Which run, since which checkpoint, and which of its effects; None means all that can be."""

    run_id: UUID
    since: int = 0
    effects: Collection[str] | None = None
    reason: str = ""
    budget: Limits | None = None


def compensate_run(
    command: Compensate, *, by: Actor, now: datetime
) -> tuple[UUID, list[CompensationView]]:
    """Queue a run that calls the compensations of another's effects, the newest first.

    Gives its id, and the effects that it takes on. An effect is never compensated twice: the
    ledger refuses a second call for it.

    Raises:
        UnknownRun: this tenant has no such run.
        IllegalMove: the run goes on by itself, or is being compensated already.
        NothingToCompensate: none of the effects can be compensated; the message says why.
    """
    run = (
        Run.objects.select_related("agent_version")
        .select_for_update(no_key=True, of=("self",))
        .filter(pk=command.run_id)
        .first()
    )
    if run is None:
        raise UnknownRun(f"there is no run {command.run_id}")
    _check(run)
    chosen = _chosen(command)
    tools = sorted({one.tool for one in chosen})
    autonomy = run.agent_version.definition.get("autonomy", "act")
    version = compensation_version(run.agent_version.agent_id, tools, autonomy)
    program = compensation(run.agent_name, version.version, version.definition)
    wanted = [{"effect": c.key, "tool": c.tool, "arguments": c.arguments} for c in chosen]
    first = first_checkpoint(program.graph, storable({"run": str(run.pk), "effects": wanted}))
    start = StartRun(agent=run.agent_name, input=None, by=by, budget=command.budget)
    started = accept(start, version, program, first, now=now, compensates=run.pk)
    _tell(run, started, command, by, [c.key for c in chosen])
    return started, chosen


def _check(run: Run) -> None:
    if run.state not in ALLOWED:
        raise IllegalMove(
            run.state, "compensated; cancel it, or wait until it has ended or waits for a person"
        )
    other = Run.objects.filter(compensates_id=run.pk, finished_at__isnull=True).first()
    if other is not None:
        raise IllegalMove(run.state, f"compensated while run {other.pk} does so; wait for its end")


def _chosen(command: Compensate) -> list[CompensationView]:
    every = queries.compensations(command.run_id, command.since)
    if command.effects is not None:
        unknown = sorted(set(command.effects) - {one.key for one in every})
        if unknown:
            raise NothingToCompensate(f"no effect {unknown[0]} of this run changed the world")
        every = [one for one in every if one.key in set(command.effects)]
    chosen = [one for one in every if one.state is Compensation.OPEN]
    if not chosen:
        whys = "; ".join(f"{one.name}: {one.why or one.state}" for one in every[:5])
        raise NothingToCompensate(f"nothing can be compensated ({whys or 'it changed nothing'})")
    if len(chosen) > MOST:
        raise NothingToCompensate(f"{len(chosen)} effects are more than {MOST}; name some of them")
    return chosen


def _tell(run: Run, started: UUID, command: Compensate, by: Actor, keys: list[str]) -> None:
    facts = {"compensating": str(started), "reason": command.reason, "effects": keys}
    record(by, "run.compensating", f"run/{run.pk}", storable(facts))
