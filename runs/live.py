"""The real world around a run: rows of the tenant, registered tools, the gateway."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from django.db import InterfaceError, OperationalError, connection

from gateway import complete as gateway_complete
from gateway.core.messages import ModelRequest
from gateway.core.route import Quote
from gateway.routes import credential, route
from policy import tenancy
from policy.calibration import Evidence
from policy.core.call import Autonomy
from policy.core.gate import Barred, Cleared, GateRules, Outgoing
from policy.core.outcomes import Outcome
from policy.core.rules.decide import Policy
from policy.enforce import Permit
from policy.gates.gate import Gate, rules_in_force
from policy.learnt import learnt_of
from policy.policies import of_version
from policy.provenance.answers import Rules
from runs.agents.program import Program
from runs.agents.versions import autonomy_of, program_of, resolve
from runs.answer_rules import answer_rules
from runs.artifacts.here import kept_here
from runs.errors import FilesFull, StoreAway
from runs.ports import Claimed
from runs.queries.spending import budget_used
from tools import catalogue, finding
from tools import invoke as tools_invoke
from tools.core.finding import Found
from tools.core.spec import ToolCall, ToolSpec

T = TypeVar("T")

NOT_BELIEVED = -1.0
SHORT = 2.0
"""Seconds for which rows that people may edit are believed."""
GATE_RULES = "gate rules"


class LiveWorld:
    """A `World` over the database, the tool registry and the gateway."""

    def __init__(self) -> None:
        self._known: dict[Hashable, tuple[float, Any]] = {}
        self._gate = Gate()

    def program(self, claimed: Claimed) -> Program:
        """Give the program of the run's agent version, under the autonomy of those above it.

        Neither it nor they ever change.
        """
        tenant_id = claimed.lease.tenant_id
        program: Program = self._once(
            tenant_id,
            ("program", claimed.agent_version_id),
            lambda: program_of(UUID(claimed.agent_version_id)),
            float("inf"),
        )
        return program.under([self._autonomy(tenant_id, version) for version in claimed.above])

    def _autonomy(self, tenant_id: str, version: str) -> Autonomy:
        return self._once(
            tenant_id,
            ("autonomy", version),
            lambda: autonomy_of(UUID(version)),
            float("inf"),
        )

    def policy(self, claimed: Claimed) -> Policy:
        """Give the policy that was in force when the run was claimed; versions never change."""
        version = claimed.policy_version_id
        if version is None:
            return Policy(version="", rules=())
        return self._once(
            claimed.lease.tenant_id,
            ("policy", version),
            lambda: of_version(UUID(version)),
            float("inf"),
        )

    def evidence(self, claimed: Claimed, tool: str) -> Evidence:
        """Give what was learnt of such calls, and how far the run's budgets are used up now."""
        tenant_id, run_id = claimed.lease.tenant_id, claimed.lease.run_id
        learnt = self._once(
            tenant_id,
            ("learnt", claimed.agent, tool),
            lambda: learnt_of(claimed.agent, tool),
            SHORT,
        )
        used = self._once(
            tenant_id, ("used", run_id), lambda: budget_used(UUID(run_id)), NOT_BELIEVED
        )
        return replace(learnt, budget_used=used)

    def tool(self, tenant_id: str, name: str) -> ToolSpec:
        """Find a tool, or raise UnknownTool."""
        return self._once(tenant_id, ("tool", name), lambda: catalogue.find(name), SHORT)

    def tools(self, tenant_id: str, granted: Sequence[str]) -> list[ToolSpec]:
        """Find the tools that match any of the granted patterns, by name."""
        patterns = tuple(granted)
        return self._once(tenant_id, ("tools", patterns), lambda: catalogue.specs(patterns), SHORT)

    def agent(self, tenant_id: str, name: str, version: str | None) -> tuple[str, Program]:
        """Find the agent version that a child is to be pinned to, or raise UnknownAgent."""

        def read() -> tuple[str, Program]:
            row, program = resolve(name, version)
            return str(row.id), program

        return self._once(tenant_id, ("agent", name, version), read, SHORT)

    def quote(self, tenant_id: str, request: ModelRequest) -> tuple[Quote, Any]:
        """Price a question at its worst, and give the credential to ask it with."""
        found, secret = self._once(
            tenant_id,
            ("route", request.model),
            lambda: (route(request.model), credential(request.model)),
            SHORT,
        )
        return gateway_complete.quote(request, found), secret

    def cleared(self, outgoing: Outgoing) -> Cleared | None:
        """Let a call through where all that matters was read a moment ago and is well."""
        until, rules = self._known.get((outgoing.tenant_id, GATE_RULES), (0.0, None))
        if rules is None or time.monotonic() >= until:
            return None
        return self._gate.cleared(outgoing, rules)

    def clear(self, outgoing: Outgoing) -> Cleared | Barred:
        """Let a call through the gate, or say how long it has to wait."""
        rules: GateRules = self._once(outgoing.tenant_id, GATE_RULES, rules_in_force, SHORT)
        return self._gate.clear(outgoing, rules)

    def is_back(self, cleared: Cleared, outcome: Outcome | None) -> bool:
        """Learn what became of a call where nothing is to be written down."""
        return self._gate.is_back(cleared, outcome)

    def back(self, cleared: Cleared, outcome: Outcome | None) -> None:
        """Learn what became of a call."""
        self._gate.back(cleared, outcome)

    def answer_rules(self, claimed: Claimed) -> Rules:
        """Give what may not leave with an answer, and what is done with it."""
        return self._once(claimed.lease.tenant_id, "answer rules", answer_rules, SHORT)

    def foreign(self, tenant_id: str, ids: Collection[str]) -> set[str]:
        """Name those of these ids that are of another tenant's things."""

        def read() -> set[str]:
            with connection.cursor() as cursor:
                cursor.execute("SELECT runs_foreign(%s, %s::uuid[])", [tenant_id, sorted(ids)])
                return {str(found) for found in cursor.fetchone()[0]}

        return _read(tenant_id, read)

    def keep(self, tenant_id: str, data: bytes) -> str:
        """Keep bytes where this installation keeps them, within the tenant's quota."""

        def room(digest: str, size: int) -> None:
            _read(tenant_id, lambda: _count(tenant_id, digest, size))

        return kept_here().keep(tenant_id, data, room)

    def kept(self, tenant_id: str, digest: str) -> bytes:
        """Give bytes from there."""
        return kept_here().kept(tenant_id, digest)

    async def invoke(self, call: ToolCall, *, permit: Permit, now: datetime) -> Outcome:
        """Make a tool call."""
        return await tools_invoke.invoke(call, permit=permit, now=now)

    async def find_out(self, call: ToolCall, *, now: datetime) -> Found:
        """Ask a tool's reconcile hook what became of a call."""
        return await finding.find_out(call, now=now)

    async def complete(
        self, request: ModelRequest, quote: Quote, credential: Any, *, key: str, timeout: float
    ) -> Outcome:
        """Ask a model."""
        return await gateway_complete.complete(
            request, quote, credential=credential, key=key, timeout=timeout
        )

    def _once(self, tenant_id: str, what: Hashable, read: Callable[[], T], life: float) -> T:
        """Read within the tenant's scope, or believe what was read a moment ago."""
        key = (tenant_id, what)
        known = self._known.get(key)
        now = time.monotonic()
        if known is not None and now < known[0]:
            value: T = known[1]
            return value
        value = _read(tenant_id, read)
        self._known[key] = (now + life, value)
        return value


def _count(tenant_id: str, digest: str, size: int) -> None:
    """Count bytes that are about to be kept, or raise FilesFull."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT runs_count_artifact(%s, %s, %s)::text", [tenant_id, digest, size])
        refused = json.loads(cursor.fetchone()[0] or "null")
    if refused:
        raise FilesFull(**refused, wanted=size)


def _read(tenant_id: str, read: Callable[[], T]) -> T:
    """Read within the tenant's scope, or raise StoreAway."""
    try:
        with tenancy.scope(UUID(tenant_id)):
            return read()
    except (OperationalError, InterfaceError) as error:
        raise StoreAway(f"{type(error).__name__}: {error}") from error
    finally:
        connection.close()
