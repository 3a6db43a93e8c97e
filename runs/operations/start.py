"""Start a run: accepted means durable."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID

import orjson
from django.db import connection
from uuid_utils.compat import uuid7

from policy import tenancy
from policy.core.actor import Actor
from policy.core.json import Json, JsonObject, storable
from policy.core.money import Limits
from runs.admission import admit_after_commit, enter
from runs.agents.program import Program
from runs.agents.versions import resolve
from runs.core.admission import Priority
from runs.core.checkpoint import Checkpoint, encode
from runs.core.plan import first_checkpoint
from runs.core.recorded.travel import plain
from runs.errors import InvalidInput
from runs.models import AgentVersion
from runs.nudging import send_after_commit

ACCEPT: Final = """
SELECT runs_accept(%s, %s, %s::jsonb, %s::float8, %s::jsonb, %s::jsonb, %s::jsonb, %s)
"""


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
    first: Checkpoint,
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
    tenant_id, run_id = tenancy.required("Run"), uuid7()
    entry = enter(tenant_id)
    deadline = command.deadline or program.deadline
    told = {
        "forked": origin and f"{origin.run_id}/{origin.super_step}",
        "compensates": compensates,
        "answers": answers,
        "agent": program.name,
    }
    like = {
        **_asked(command, version, program),
        "created_at": now,
        "origin_run_id": origin and origin.run_id,
        "origin_super_step": origin and origin.super_step,
        "compensates_id": compensates,
        "answers_id": answers,
        "deadline_stops": program.deadline_stops_for_people and answers is None,
    }
    arguments: list[str | float | None] = [
        _json(like),
        None if deadline is None else deadline.total_seconds(),
        _json(asdict(command.budget or program.budget)),
        _json({name: value for name, value in told.items() if value is not None}),
        _json(_rows(run_id, first)),
    ]
    with connection.cursor() as cursor:
        cursor.execute(ACCEPT, [tenant_id, str(command.by), *arguments, int(entry.now)])
        (message,) = cursor.fetchone()
    if message is not None:
        send_after_commit(tenant_id, run_id, message)
    elif entry.look:
        admit_after_commit()
    return run_id


def _asked(command: StartRun, version: AgentVersion, program: Program) -> JsonObject:
    return {
        "agent_version_id": version.pk,
        "agent_name": program.name,
        "principal_id": command.by.principal_id or None,
        "thread_id": command.thread,
        "started_by": command.by.name,
        "priority": command.priority,
        "metadata": storable(command.metadata),
    }


def _rows(run_id: UUID, first: Checkpoint) -> JsonObject:
    return {
        "id": run_id,
        "budget": uuid7(),
        "head": encode(first),
        "writes": {name: plain(value) for name, value in first.channels.items()},
    }


def _json(value: Json) -> str:
    return orjson.dumps(value, default=_amount).decode()


def _amount(value: object) -> str:
    if not isinstance(value, Decimal):
        raise TypeError(f"{type(value).__name__} is not stored")
    return str(value)


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
