"""Agent versions as rows: which program a run's version means, and which one a name means."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.db import transaction
from uuid_utils.compat import uuid7

from policy import tenancy
from policy.core.call import Autonomy
from policy.core.json import JsonObject, digest
from policy.models import Tenant
from runs.agents import registry
from runs.agents.compensation import compensation
from runs.agents.program import Program
from runs.agents.react import react, settings_of
from runs.errors import InvalidInput, UnknownAgent
from runs.models import Agent, AgentVersion
from runs.models.agents import AgentKind

_loading: Final = threading.RLock()

MOST_ROWS: Final = 10_000
_rows: Final[dict[tuple[UUID, str, str], AgentVersion]] = {}
"""Rows of versions that code declares, as they were committed: they never change."""


def load_code() -> None:
    """Import the agents that the settings point to, once in a process.

    Whoever asks while another thread still imports them waits: half of the agents would
    park runs of the other half.
    """
    with _loading:
        _load_code()


@cache
def _load_code() -> None:
    registry.load(Path(settings.BASE_DIR, path) for path in settings.AGENT_PATHS)


def program_of(version_id: UUID) -> Program:
    """Give the program of a version in the open tenancy scope.

    Raises:
        UnknownAgent: the code has no such version any more, or it has another shape now.
    """
    row = AgentVersion.objects.select_related("agent").get(pk=version_id)
    return _program(row)


def autonomy_of(version_id: UUID) -> Autonomy:
    """Read how far a version of the scope's tenant may go, whether or not its code is here."""
    definition = AgentVersion.objects.values_list("definition", flat=True).get(pk=version_id)
    return Autonomy(definition.get("autonomy", Autonomy.ACT))


def _program(row: AgentVersion) -> Program:
    load_code()  # its tools and scripts are code's, also where it has none of its own
    if row.kind == AgentKind.REACT:
        return react(row.agent.name, row.version, settings_of(row.definition))
    if row.kind == AgentKind.COMPENSATION:
        return compensation(row.agent.name, row.version, row.definition)
    program = registry.code_agents().get((row.agent.name, row.version))
    if program is None:
        raise UnknownAgent(row.agent.name, row.version)
    if program.graph.digest() != row.definition["graph_digest"]:
        raise UnknownAgent(row.agent.name, f"{row.version} with the shape it had")
    return program


def pinned(name: str, version: str) -> AgentVersion:
    """Find a version that runs may be pinned to, whether or not this code can run it.

    Raises:
        UnknownAgent: the tenant has never had it.
    """
    rows = AgentVersion.objects.select_related("agent")
    row = rows.filter(agent__name=name, version=version).first()
    if row is None:
        raise UnknownAgent(name, version)
    return row


def why_not(version_id: UUID) -> str:
    """Say why this code cannot run a version; empty where it can."""
    try:
        program_of(version_id)
    except (UnknownAgent, InvalidInput) as error:
        return str(error)
    return ""


def resolve(name: str, version: str | None) -> tuple[AgentVersion, Program]:
    """Find the version that a run is to be pinned to: the one named, or the newest.

    A version that code declares gets its row when it is first asked for.

    Raises:
        UnknownAgent: neither the tenant nor the code has it.
    """
    rows = AgentVersion.objects.select_related("agent").filter(agent__name=name)
    rows = rows.exclude(kind=AgentKind.COMPENSATION)
    if version is not None:
        rows = rows.filter(version=version)
    load_code()
    program = (
        registry.latest(name) if version is None else registry.code_agents().get((name, version))
    )
    if program is not None:
        return _row(program), program
    row = rows.order_by("-created_at", "-id").first()
    if row is None:
        raise UnknownAgent(name, version)
    return row, _program(row)


def _row(program: Program) -> AgentVersion:
    key = (tenancy.required("AgentVersion"), program.name, program.version)
    if (known := _rows.get(key)) is not None:
        return known
    agent, _ = Agent.objects.get_or_create(
        name=program.name, tenant=_tenant(), defaults={"id": uuid7()}
    )
    row, _ = AgentVersion.objects.get_or_create(
        agent=agent,
        version=program.version,
        tenant=_tenant(),
        defaults={"id": uuid7(), "kind": AgentKind.CODE, "definition": program.definition()},
    )
    transaction.on_commit(partial(_remember, key, row))
    return row


def _remember(key: tuple[UUID, str, str], row: AgentVersion) -> None:
    if len(_rows) >= MOST_ROWS:
        _rows.clear()
    _rows[key] = row


def add_react_version(name: str, version: str, definition: JsonObject) -> UUID:
    """Add a version of a react agent: prompt, model, tools and bounds. It never changes again."""
    settings_of(definition)
    agent, _ = Agent.objects.get_or_create(name=name, tenant=_tenant(), defaults={"id": uuid7()})
    row = AgentVersion(
        id=uuid7(), agent=agent, version=version, kind=AgentKind.REACT, definition=definition
    )
    row.save(force_insert=True)
    return row.id


def compensation_version(agent_id: UUID, tools: Sequence[str], autonomy: str) -> AgentVersion:
    """Give the version of an agent that compensates with these tools, and is granted only them.

    Nobody can start it by name.
    """
    definition: JsonObject = {"tools": list(tools), "autonomy": autonomy}
    row, _ = AgentVersion.objects.get_or_create(
        agent_id=agent_id,
        version=f"compensation-{digest(definition)[:16]}",
        tenant=_tenant(),
        defaults={"id": uuid7(), "kind": AgentKind.COMPENSATION, "definition": definition},
    )
    return row


def _tenant() -> Any:
    return Tenant(id=tenancy.required("AgentVersion"))
