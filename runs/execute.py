"""Carry out one task of a super-step: run its node, and its effects once each.

    ask ──▶ in the ledger? ──answer──▶ back to the node
             │ no                ▲
             ▼                   │
           policy ──▶ put down ──▶ send ──▶ outcome
             │            │                   │ failed, may pass: again at a later moment
             ▼            ▼                   │ in doubt, must not be repeated: ask a person
           refused      held for a person, or for money

A node that has to wait is unwound by `Unwound`, which its own `except Exception` cannot
catch; it runs again from its top when the wait is over and finds what it was told.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import structlog

from gateway.core.messages import ModelRequest, ToolOffer
from policy.core.json import JsonObject, storable
from policy.core.outcomes import ErrorClass, Outcome
from runs.agents.context import Context, Setting, State, SyncContext
from runs.agents.program import Program
from runs.asking import Asker, Asking, AskingModel, AskingTool
from runs.core.checkpoint import Checkpoint, TaskSpec
from runs.core.graph import Step
from runs.core.lifecycle import Reason
from runs.core.results import Broken, Finished, Held, TaskResult
from runs.errors import LeaseLost
from runs.ports import Claimed, Settled
from runs.shell import Shell, Stopped, Unwound

log = structlog.get_logger()
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Executed:
    """A task's result, and what its effects came to since they were last written down."""

    result: TaskResult
    effects: tuple[Settled, ...] = ()
    stopped: ErrorClass | None = None


@dataclass(slots=True, kw_only=True)
class TaskRun:
    """One attempt at one task: the engine's side of a context."""

    asker: Asker
    asked: int = 0
    held: list[Held] = field(default_factory=list)
    in_flight: set[asyncio.Task[Outcome | Held]] = field(default_factory=set)

    async def tool(self, name: str, arguments: JsonObject) -> Outcome:
        """Call a tool, or find the recorded outcome of this very call."""
        clean: JsonObject = storable(dict(arguments))
        return await self._ask(AskingTool(self.asker, self._ordinal(), name, clean))

    async def model(self, request: ModelRequest) -> Outcome:
        """Ask a model, or find the recorded answer."""
        return await self._ask(AskingModel(self.asker, self._ordinal(), request))

    async def offers(self) -> tuple[ToolOffer, ...]:
        """List the tools granted to this agent, as a model is told of them."""
        shell = self.asker.shell
        specs = await shell.loop.in_thread(
            shell.world.tools, self.asker.claimed.lease.tenant_id, self.asker.program.tools
        )
        return tuple(
            ToolOffer(name=s.name, description=s.description, parameters=s.input_schema)
            for s in specs
        )

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine from a plain function, and wait for it."""
        return self.asker.shell.loop.run(work)

    def _ordinal(self) -> int:
        self.asked += 1
        return self.asked - 1

    async def _ask(self, asking: Asking) -> Outcome:
        """Ask in a task of its own, so that unwinding the node never cuts a call in two."""
        if self.held:
            raise Unwound
        task = asyncio.ensure_future(asking.outcome())
        self.in_flight.add(task)
        answer = await asyncio.shield(task)
        self.in_flight.discard(task)
        if isinstance(answer, Held):
            self.held.append(answer)
            raise Unwound
        return answer

    async def landed(self) -> None:
        """Wait for every call that is still under way, and keep what it came to."""
        for answer in await asyncio.gather(*self.in_flight, return_exceptions=True):
            if isinstance(answer, Held):
                self.held.append(answer)


def execute(
    shell: Shell, claimed: Claimed, program: Program, checkpoint: Checkpoint, task: TaskSpec
) -> Executed:
    """Run a task to its end, or until it has to wait.

    Raises:
        LeaseLost: somebody else holds the run or task now; the work is thrown away.
    """
    node = program.graph.nodes[task.node]
    asker = Asker(shell=shell, claimed=claimed, program=program, task=task.id, retry=node.retry)
    run = TaskRun(asker=asker)
    state = State(checkpoint.channels, lambda name: program.graph.channel(name).empty())
    setting = Setting(
        run_id=claimed.lease.run_id,
        super_step=checkpoint.super_step,
        task=task.id,
        arg=task.arg,
        agent=program.name,
        version=program.version,
        default_model=program.model,
        state=state,
    )
    try:
        returned = _run_node(run, node.run, setting)
        result = _result(returned)
    except Stopped as stopped:
        return Executed(
            result=Broken(error_class=stopped.error_class, detail="the run was called off"),
            effects=tuple(asker.settled),
            stopped=stopped.error_class,
        )
    except Unwound:
        result = _held(run.held)
    except LeaseLost:
        raise
    except Exception as error:  # noqa: BLE001 - the boundary to an agent's own code
        result = _broken(error)
    if run.held:
        result = _held(run.held)
    return Executed(result=result, effects=tuple(asker.settled))


def _run_node(run: TaskRun, node: Callable[..., Any], setting: Setting) -> Any:
    if not inspect.iscoroutinefunction(node):
        try:
            return node(SyncContext(setting, run))
        finally:
            if run.in_flight:
                run.asker.shell.loop.run(run.landed())
    return run.asker.shell.loop.run(_within_deadline(run, node, setting))


async def _within_deadline(run: TaskRun, node: Callable[..., Any], setting: Setting) -> Any:
    deadline = run.asker.claimed.deadline
    left = None if deadline is None else (deadline - run.asker.shell.clock()).total_seconds()
    try:
        async with asyncio.timeout(left):
            return await node(Context(setting, run))
    except TimeoutError:
        if left is not None and deadline is not None and run.asker.shell.clock() >= deadline:
            raise Stopped(ErrorClass.TIMEOUT) from None
        raise
    finally:
        await run.landed()


def _result(returned: Any) -> TaskResult:
    if isinstance(returned, Step):
        return Finished(writes=_json(returned.writes), next=returned.next)
    if returned is None:
        return Finished(writes={})
    if isinstance(returned, Mapping):
        return Finished(writes=_json(returned))
    kind = type(returned).__name__
    return Broken(
        error_class=ErrorClass.VALIDATION_ERROR,
        detail=f"a node returns a mapping of channels to values, a Step, or None; not {kind}",
    )


def _json(writes: Mapping[str, Any]) -> dict[str, Any]:
    clean: dict[str, Any] = storable(dict(writes))
    return clean


def _held(held: list[Held]) -> Held | Broken:
    if not held:
        return Broken(error_class=ErrorClass.INTERNAL, detail="unwound without a reason")
    first = min(held, key=lambda h: list(Reason).index(h.reason))
    moments = [h.until for h in held if h.until is not None]
    return Held(reason=first.reason, until=min(moments) if moments else None)


def _broken(error: Exception) -> Broken:
    declared = getattr(error, "error_class", None)
    error_class = declared if isinstance(declared, ErrorClass) else ErrorClass.INTERNAL
    if error_class is ErrorClass.INTERNAL:
        log.warning("node.failed", error_type=type(error).__name__, exc_info=error)  # noqa: LOG014
    text = str(error)[:2000]
    detail = text if declared else f"{type(error).__name__}: {text}"
    return Broken(error_class=error_class, detail=storable(detail))
