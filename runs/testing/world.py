"""Everything around a run, in memory: programs, a policy, tools, models that play scripts."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any, TypeAlias

from pydantic import ValidationError

from gateway import complete as gateway_complete
from gateway.core.messages import ModelRequest
from gateway.core.route import Quote
from gateway.errors import UnknownModel
from gateway.testing import ScriptedModel
from policy.calibration import Evidence
from policy.core.gate import Barred, Cleared, Outgoing
from policy.core.json import Json, JsonObject, storable
from policy.core.outcomes import Done, ErrorClass, Failed, Outcome
from policy.core.rules.decide import Decision, EffectClass, Policy, Rule
from policy.enforce import Permit
from policy.provenance.answers import Rules
from runs.agents.program import Program
from runs.artifacts import Artifacts
from runs.errors import UnknownAgent
from runs.ports import Claimed
from runs.testing.artifacts import InMemory
from tools import finding, registry, schemas, signature
from tools import invoke as tools_invoke
from tools.core.finding import CannotTell, Found
from tools.core.spec import ToolCall, ToolSpec
from tools.errors import PermitMismatch, ToolError, UnknownTool

StandIns: TypeAlias = Mapping[str, Callable[..., Any]]
"""Functions that take the place of tools, by the tools' names."""

ALLOW_WHAT_IS_GRANTED = Policy(
    version="memory", rules=(Rule(name="allow what is granted", decision=Decision.ALLOW),)
)


@dataclass(frozen=True, slots=True)
class Call:
    """A call that reached a tool: what an outside observer sees."""

    name: str
    arguments: JsonObject
    key: str


def _alive() -> None:
    """Let the call through."""


@dataclass(slots=True, kw_only=True)
class MemoryWorld:
    """A `World` without a database or a network.

    Tools are those that code declared, each replaced by its stand-in where there is one;
    `hooks` stand in for reconcile hooks, by the tools' names.
    `models` are found by name, the one under "" answers for every other name.
    `pulse` is asked before anything is sent; a dead process raises there. `gate` stands for
    limits and breakers; what came back through it is kept in `answered`.
    """

    programs: Mapping[str, Program]
    rules: Policy = ALLOW_WHAT_IS_GRANTED
    stand_ins: StandIns = field(default_factory=dict)
    hooks: StandIns = field(default_factory=dict)
    models: Mapping[str, ScriptedModel] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    known: Evidence = field(default_factory=Evidence)
    answers: Rules = field(default_factory=Rules)
    pulse: Callable[[], None] = _alive
    gate: Callable[[Outgoing], Cleared | Barred] = Cleared
    answered: list[tuple[Cleared, Outcome | None]] = field(default_factory=list)
    artifacts: Artifacts = field(default_factory=lambda: Artifacts(InMemory().itself))

    def program(self, claimed: Claimed) -> Program:
        """Give the program of the run's agent version, under the autonomy of those above it."""
        if claimed.agent_version_id not in self.programs:
            raise UnknownAgent(claimed.agent)
        above = [self.programs[version].autonomy for version in claimed.above]
        return self.programs[claimed.agent_version_id].under(above)

    def policy(self, claimed: Claimed) -> Policy:  # noqa: ARG002 - one policy for every run
        """Give the rules."""
        return self.rules

    def evidence(self, claimed: Claimed, tool: str) -> Evidence:  # noqa: ARG002 - one for all
        """Give what triggers compare a call with."""
        return self.known

    def tool(self, tenant_id: str, name: str) -> ToolSpec:  # noqa: ARG002 - one tenant
        """Find a tool, or raise UnknownTool."""
        spec = registry.local().get(name)
        if spec is None and name in self.stand_ins:
            spec = _read_off(name, self.stand_ins[name])
        if spec is None:
            raise UnknownTool(name)
        return replace(spec, reconcile="a stand-in") if name in self.hooks else spec

    def tools(self, tenant_id: str, granted: Sequence[str]) -> list[ToolSpec]:
        """Find the tools that match any of the granted patterns, by name."""
        every = sorted({*registry.local(), *self.stand_ins})
        found = [name for name in every if any(fnmatchcase(name, g) for g in granted)]
        return [self.tool(tenant_id, name) for name in found]

    def agent(self, tenant_id: str, name: str, version: str | None) -> tuple[str, Program]:  # noqa: ARG002
        """Find an agent that was given, or raise UnknownAgent."""
        for key, program in reversed(list(self.programs.items())):
            if program.name == name and version in {None, program.version}:
                return key, program
        raise UnknownAgent(name, version)

    def quote(self, tenant_id: str, request: ModelRequest) -> tuple[Quote, Any]:  # noqa: ARG002
        """Price a question at its worst."""
        model = self.models.get(request.model) or self.models.get("")
        if model is None:
            raise UnknownModel(request.model)
        return gateway_complete.quote(request, model.route), None

    def cleared(self, outgoing: Outgoing) -> Cleared | None:
        """Let a call through, where `gate` does."""
        answer = self.gate(outgoing)
        return answer if isinstance(answer, Cleared) else None

    def clear(self, outgoing: Outgoing) -> Cleared | Barred:
        """Ask `gate`."""
        return self.gate(outgoing)

    def is_back(self, cleared: Cleared, outcome: Outcome | None) -> bool:
        """Remember what became of a call."""
        self.answered.append((cleared, outcome))
        return True

    def back(self, cleared: Cleared, outcome: Outcome | None) -> None:
        """Remember what became of a call."""
        self.answered.append((cleared, outcome))

    def answer_rules(self, claimed: Claimed) -> Rules:  # noqa: ARG002 - one for all
        """Give what may not leave with an answer."""
        return self.answers

    def foreign(self, tenant_id: str, ids: Collection[str]) -> set[str]:  # noqa: ARG002 - one tenant
        """Know of nobody else."""
        return set()

    def keep(self, tenant_id: str, data: bytes) -> str:
        """Keep bytes in memory."""
        return self.artifacts.keep(tenant_id, data)

    def kept(self, tenant_id: str, digest: str) -> bytes:
        """Give bytes from there."""
        return self.artifacts.kept(tenant_id, digest)

    async def invoke(self, call: ToolCall, *, permit: Permit, now: datetime) -> Outcome:
        """Make a tool call."""
        self.pulse()
        self.calls.append(Call(call.spec.name, dict(call.arguments), call.key))
        if call.spec.name in self.stand_ins:
            return await _stand_in(self.stand_ins[call.spec.name], call, permit, now)
        return await tools_invoke.invoke(call, permit=permit, now=now)

    async def find_out(self, call: ToolCall, *, now: datetime) -> Found:
        """Ask a reconcile hook, or its stand-in."""
        self.pulse()
        name = call.spec.name
        if name in self.hooks:
            return await finding.ask(self.hooks[name], call, seconds=call.timeout, now=now)
        if name in self.stand_ins:
            return CannotTell("a stand-in has no reconcile hook; give one in `hooks`")
        return await finding.find_out(call, now=now)

    async def complete(
        self,
        request: ModelRequest,
        quote: Quote,
        credential: Any,  # noqa: ARG002 - scripts need none
        *,
        key: str,
        timeout: float,
    ) -> Outcome:
        """Ask a model."""
        self.pulse()
        return await gateway_complete.complete(request, quote, key=key, timeout=timeout)


def _read_off(name: str, function: Callable[..., Any]) -> ToolSpec:
    """Declare a function that no code declared as a tool, as the careful default would."""
    read = signature.read(function, name)
    return ToolSpec(
        name=name,
        version="1",
        description=inspect.getdoc(function) or "",
        input_schema=read.input_schema,
        output_schema=read.output_schema,
    )


async def _stand_in(
    function: Callable[..., Any], call: ToolCall, permit: Permit, now: datetime
) -> Outcome:
    """Call a stand-in as `tools.invoke` would call the tool."""
    spec = call.spec
    if permit.tool != spec.name or now >= permit.expires_at:
        raise PermitMismatch(f"no permit for this call of {spec.name}")
    if wrong := schemas.faults(spec, "input", call.arguments):
        return Failed(error_class=ErrorClass.VALIDATION_ERROR, detail=wrong)
    read = signature.read(function, spec.name)
    context = registry.ToolContext(
        idempotency_key=call.key,
        run_id=call.run_id,
        tenant_id=call.tenant_id,
        deadline=now + timedelta(seconds=call.timeout),
    )
    try:
        given = read.arguments(call.arguments, context)
        value: Json = storable(read.dumped(await _answer(function, given)))
    except Exception as error:  # noqa: BLE001 - foreign code: whatever it raises is an outcome
        return _failure(spec, error)
    return Done(value=value)


async def _answer(function: Callable[..., Any], given: Mapping[str, Any]) -> Any:
    if inspect.iscoroutinefunction(function):
        return await function(**given)
    return await asyncio.to_thread(function, **given)


def _failure(spec: ToolSpec, error: Exception) -> Failed:
    in_doubt = spec.effect is not EffectClass.READ
    match error:
        case ToolError():
            return Failed(
                error_class=error.error_class,
                detail=error.detail,
                in_doubt=error.in_doubt,
                retry_after=error.retry_after,
            )
        case ValidationError():
            error_class, in_doubt = ErrorClass.VALIDATION_ERROR, False
        case TimeoutError():
            error_class = ErrorClass.TIMEOUT
        case ConnectionError():
            error_class = ErrorClass.TRANSIENT_DEPENDENCY
        case _:
            error_class = ErrorClass.PERMANENT_DEPENDENCY
    detail = f"{type(error).__name__}: {error}"
    return Failed(error_class=error_class, detail=detail, in_doubt=in_doubt)
