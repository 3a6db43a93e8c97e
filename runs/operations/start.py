"""Start a run: accepted means durable."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Q
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

from policy import tenancy
from policy.audit import record
from policy.core.actor import Actor
from policy.core.json import Json, JsonObject, storable
from policy.core.money import Limits
from policy.errors import NoTenantScope
from policy.models import Budget, BudgetScope, Principal
from runs.admission import admit_after_commit, enter
from runs.agents.program import Program
from runs.agents.versions import resolve
from runs.core.admission import Priority
from runs.core.checkpoint import Checkpoint as CoreCheckpoint
from runs.core.checkpoint import encode
from runs.core.lifecycle import RunState
from runs.core.plan import first_checkpoint
from runs.core.recorded.travel import plain
from runs.errors import InvalidInput
from runs.models import AgentVersion, Checkpoint, Run, RunEvent
from runs.nudging import nudge


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRun:
    """What somebody asks for. `deadline` counts from now; limits of None are the agent's.

    `thread` is an id of the caller's own: runs of one thread share its budget.
    """

    agent: str
    input: Json
    by: Actor
    version: str | None = None
    budget: Limits | None = None
    deadline: timedelta | None = None
    thread: UUID | None = None
    metadata: JsonObject = field(default_factory=dict)
    priority: Priority = Priority.NORMAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The checkpoint of another run that a run was forked from."""

    run_id: UUID
    super_step: int


def start_run(command: StartRun, *, now: datetime) -> UUID:
    """Accept a run: it is queued, and will end or wait for a named thing.

    The run, its first checkpoint, its budget, its first event, the audit record and the
    nudge are one commit, the caller's. Where there is no room for it, it stands in its
    tenant's line, and is nudged when its turn comes.

    Raises:
        UnknownAgent: there is no such agent or version.
        InvalidInput: the input does not fit the agent.
        QueueFull, SystemFull: as many runs wait to begin as may; nothing was stored.
    """
    version, program = resolve(command.agent, command.version)
    first = first_checkpoint(program.graph, accepted_input(program, command.input))
    return accept(command, version, program, first, now=now)


def accept(  # noqa: PLR0913 - one commit of many parts, read by keyword
    command: StartRun,
    version: AgentVersion,
    program: Program,
    first: CoreCheckpoint,
    *,
    now: datetime,
    origin: Origin | None = None,
    compensates: UUID | None = None,
    answers: UUID | None = None,
) -> UUID:
    """Accept a run that begins at a checkpoint, in the caller's commit.

    Raises:
        NoTenantScope: no scope is open.
        QueueFull, SystemFull: as many runs wait to begin as may; nothing was stored.
    """
    tenant_id = tenancy.current()
    if tenant_id is None:
        raise NoTenantScope("Run")
    entry = enter(tenant_id, command.priority)
    run = _run(command, version, program, now)
    budgets = _budgets(command, program, run, version.agent_id)
    run.queue_at = entry.queue_at
    if origin is not None:
        run.origin_run_id, run.origin_super_step = origin.run_id, origin.super_step
    run.compensates_id, run.answers_id = compensates, answers
    run.budget_ids = [budget.id for budget in budgets]
    budgets[0].save(force_insert=True)
    run.save(force_insert=True)
    Checkpoint(
        tenant_id=tenant_id,
        run_id=run.id,
        super_step=0,
        fencing_token=0,
        head=encode(first),
        writes={name: plain(value) for name, value in first.channels.items()},
    ).save(force_insert=True)
    told = {} if origin is None else {"forked": f"{origin.run_id}/{origin.super_step}"}
    told |= {} if compensates is None else {"compensates": str(compensates)}
    told |= {} if answers is None else {"answers": str(answers)}
    RunEvent(
        tenant_id=tenant_id,
        run_id=run.id,
        seq=1,
        type="run.queued",
        data={**told, "agent": run.agent_name},
    ).save(force_insert=True)
    record(command.by, "run.started", f"run/{run.id}", {**told, "agent": run.agent_name})
    if entry.queue_at is None:
        nudge(tenant_id, run.id)
    elif entry.look:
        admit_after_commit()
    return run.id


def accepted_input(program: Program, given: Json, *, at: str = "") -> Json:
    """Give an input in the form that is stored.

    Raises:
        InvalidInput: it does not fit the agent; `at` says where it was given.
    """
    try:
        return storable(program.accept(given))
    except InvalidInput as error:
        raise InvalidInput([(at + pointer, text) for pointer, text in error.errors]) from error
    except ValueError as error:
        raise InvalidInput([(at, str(error))]) from error


def _run(command: StartRun, version: AgentVersion, program: Program, now: datetime) -> Run:
    deadline = command.deadline or program.deadline
    return Run(
        id=uuid7(),
        agent_version=version,
        agent_name=program.name,
        principal_id=command.by.principal_id or None,
        team_id=_team(command.by),
        thread_id=command.thread,
        started_by=command.by.name,
        state=RunState.QUEUED,
        priority=command.priority,
        event_seq=1,
        nudged_at=Now(),
        deadline_at=None if deadline is None else Now() + deadline,
        metadata=command.metadata,
        created_at=now,
    )


def _team(by: Actor) -> UUID | None:
    if not by.principal_id:
        return None
    return Principal.objects.filter(pk=by.principal_id).values_list("team_id", flat=True).first()


def _budgets(command: StartRun, program: Program, run: Run, agent_id: UUID) -> list[Budget]:
    """Give the budgets above the run, its own first: those of every scope it belongs to.

    They are looked up here, once: one that is made later binds the runs begun after it.
    """
    limits = command.budget or program.budget
    own = Budget(
        id=uuid7(),
        scope=BudgetScope.RUN,
        scope_id=run.id,
        cost_limit=limits.cost,
        tokens_limit=limits.tokens,
        model_calls_limit=limits.model_calls,
        tool_calls_limit=limits.tool_calls,
    )
    scopes = {
        BudgetScope.AGENT: agent_id,
        BudgetScope.THREAD: run.thread_id,
        BudgetScope.USER: run.principal_id,
        BudgetScope.TEAM: run.team_id,
    }
    above = Q(scope=BudgetScope.TENANT)
    for scope, scope_id in scopes.items():
        above |= Q(scope=scope, scope_id=scope_id) if scope_id else Q()
    return [own, *Budget.objects.filter(above).only("id")]
