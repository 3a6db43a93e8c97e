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
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import inf
from typing import Any, Final, TypeVar

import structlog

from gateway.core.messages import ModelRequest, ToolOffer
from policy.core.json import Json, JsonObject, digest, storable
from policy.core.outcomes import ErrorClass, Outcome
from policy.provenance import Answer
from runs.agents.context import Context, Setting, State, SyncContext
from runs.agents.program import Program
from runs.asking import Asker, Asking, AskingModel, AskingSignal, AskingTimer, AskingTool
from runs.asking.children import AskingJoin, AskingSpawn
from runs.asking.files import Filed
from runs.asking.outcomes import outcome_to_json
from runs.brake import Brake
from runs.broods import Wait
from runs.carrier import Work
from runs.core.checkpoint import Checkpoint, TaskSpec
from runs.core.effects import EffectKind
from runs.core.files import FILES
from runs.core.graph import Node
from runs.core.guards import trace_of
from runs.core.reconcile import together
from runs.core.results import Broken, Finished, Held, TaskResult
from runs.errors import LeaseLost, NodeTimeout, StoreAway, TooManyEffects
from runs.loop import Scope, unscoped
from runs.ports import Claimed, Settled
from runs.returned import result_of
from runs.shell import Derailed, Released, Shell, Stopped, Unwound

log = structlog.get_logger()
T = TypeVar("T")

WAITS: Final = frozenset({EffectKind.TIMER, EffectKind.SIGNAL, EffectKind.JOIN})
STOOD_STILL: Final = 1.0  # seconds late by which this process, not its node, was stopped
LONGEST_NAME: Final = 200
"""Characters of a tool's name that the ledger keeps; no tool has a longer one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Executed:
    """A task's result, and what its effects came to since they were last written down.

    `released` says that there is no result: the process shuts down, and the task is to be
    given back.
    """

    result: TaskResult
    effects: tuple[Settled, ...] = ()
    stopped: ErrorClass | None = None
    released: bool = False
    heard: tuple[Answer, ...] = ()


@dataclass(slots=True, kw_only=True)
class TaskRun:
    """One attempt at one task: the engine's side of a context."""

    asker: Asker
    node: Node
    asked: int = 0
    over: bool = False
    held: list[Held] = field(default_factory=list)
    stopped: ErrorClass | None = None
    derailed: Exception | None = None
    released: bool = False
    idle_since: float = 0.0
    busy: int = 0
    in_flight: set[asyncio.Task[Outcome | Held]] = field(default_factory=set)
    called: list[str] = field(default_factory=list)
    waited: bool = False
    files: Filed = field(init=False)

    async def tool(self, name: str, arguments: JsonObject, compensates: str = "") -> Outcome:
        """Call a tool, or find the recorded outcome of this very call."""
        clean: JsonObject = storable(dict(arguments))
        known_as: str = storable(name)[:LONGEST_NAME]
        ordinal = self._ordinal()
        return await self._ask(AskingTool(self.asker, ordinal, known_as, clean, compensates))

    async def model(self, request: ModelRequest) -> Outcome:
        """Ask a model, or find the recorded answer."""
        return await self._ask(AskingModel(self.asker, self._ordinal(), request))

    async def sleep(self, seconds: float) -> Outcome:
        """Wait, or find that the wait is over."""
        return await self._ask(AskingTimer(self.asker, self._ordinal(), seconds))

    async def signal(self, name: str, seconds: float | None) -> Outcome:
        """Take a signal, or find the one that was taken, or that none came in time."""
        return await self._ask(AskingSignal(self.asker, self._ordinal(), storable(name), seconds))

    async def spawn(self, agent: str, inputs: Sequence[Json], **bounds: Any) -> Outcome:
        """Start children, or find those that were started here."""
        clean: list[Json] = storable(list(inputs))
        name: str = storable(agent)[:LONGEST_NAME]
        return await self._ask(AskingSpawn(self.asker, self._ordinal(), name, clean, **bounds))

    async def join(self, join_id: str, want_succeeded: int, want_failed: int) -> Outcome:
        """Wait for children, or find what came of them."""
        wait = Wait(join_id=join_id, want_succeeded=want_succeeded, want_failed=want_failed)
        return await self._ask(AskingJoin(self.asker, self._ordinal(), wait))

    async def offers(self) -> tuple[ToolOffer, ...]:
        """List the tools granted to this agent, as a model is told of them."""
        shell, tenant = self.asker.shell, self.asker.claimed.lease.tenant_id
        read = partial(shell.world.tools, tenant, self.asker.program.tools)
        specs = await self.meanwhile(partial(shell.loop.in_thread, read))
        return tuple(
            ToolOffer(name=s.name, description=s.description, parameters=s.input_schema)
            for s in specs
        )

    @property
    def is_put_away(self) -> bool:
        """Say whether the engine itself unwound the node."""
        return bool(self.held or self.stopped or self.derailed or self.released)

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine from a plain function, and wait for it."""
        return self.asker.shell.loop.run(work)

    def _ordinal(self) -> int:
        if self.asked >= self.node.max_effects:
            raise TooManyEffects(self.node.max_effects)
        self.asked += 1
        return self.asked - 1

    async def _ask(self, asking: Asking) -> Outcome:
        """Ask in a task of its own, so that unwinding the node never cuts a call in two."""
        if self.held or self.over:
            raise Unwound
        task = unscoped(asking.outcome())
        self.in_flight.add(task)
        self.busy += 1
        task.add_done_callback(self._is_idle)
        try:
            answer = await asyncio.shield(task)
        except (LeaseLost, StoreAway) as error:
            self._note(error)
            raise Derailed from error
        except (Stopped, Released) as error:
            self._note(error)
            raise
        self.in_flight.discard(task)
        if isinstance(answer, Held):
            self._note(answer)
            raise Unwound
        asking.told(answer)
        self._trace(asking, answer)
        return answer

    def _trace(self, asking: Asking, answer: Outcome) -> None:
        """Remember what was called and what came back: a loop is known by it."""
        if asking.kind is EffectKind.TOOL:
            self.called.append(digest(asking.digest(), outcome_to_json(answer)))
        self.waited = self.waited or asking.kind in WAITS

    async def meanwhile(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Wait for what is no effect, while the node's own time stands still."""
        if self.held or self.over:
            raise Unwound
        self.busy += 1
        try:
            return await work()
        except StoreAway as error:
            self._note(error)
            raise Derailed from error
        finally:
            self._is_idle(None)

    async def landed(self) -> None:
        """Let nothing more be asked; wait for what is under way, and keep what it came to."""
        self.over = True
        for answer in await asyncio.gather(*self.in_flight, return_exceptions=True):
            self._note(answer)

    def cut(self) -> None:
        """Remember why the brake was pulled."""
        self._note(self.asker.brake.error(self.asker.claimed.lease))

    def patience(self, now: float, ends: float) -> float:
        """Say how long the node may go on before it is looked at again; 0 if it is over.

        Raises:
            Stopped: the run is past its deadline.
            NodeTimeout: the node took too long by itself.
        """
        if now >= ends:
            self.stopped = ErrorClass.TIMEOUT
            raise Stopped(ErrorClass.TIMEOUT)
        limit = self.node.timeout.total_seconds()
        if (own := limit if self.busy else self.idle_since + limit - now) <= 0:
            raise NodeTimeout(limit)
        return min(own, ends - now)

    def _is_idle(self, _: object) -> None:  # until then it is busy, whoever looks
        self.busy -= 1
        self.idle_since = asyncio.get_running_loop().time()

    def _note(self, answer: object) -> None:
        """Remember why the node is put away, whatever the node makes of it."""
        match answer:
            case Held():
                self.held.append(answer)
            case Stopped(error_class=error_class):
                self.stopped = error_class
            case LeaseLost() | StoreAway():
                self.derailed = answer
            case Released():
                self.released = True
            case _:
                pass


def execute(
    shell: Shell,
    claimed: Claimed,
    program: Program,
    checkpoint: Checkpoint,
    task: TaskSpec,
    brake: Brake,
) -> Work[Executed]:
    """Run a task to its end, until it has to wait, or until the brake is pulled.

    Raises:
        LeaseLost: somebody else holds the run or task now; the work is thrown away.
        StoreAway: the ledger cannot be reached, so nothing more can be asked for.
    """
    node = program.graph.nodes[task.node]
    asker = Asker(
        shell=shell, claimed=claimed, program=program, task=task.id, retry=node.retry, brake=brake
    )
    run = TaskRun(asker=asker, node=node)
    named = checkpoint.channels.get(FILES, {})
    run.files = Filed(asker=asker, before=named, most=node.max_effects, meanwhile=run.meanwhile)
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
    result: TaskResult
    try:
        result = result_of((yield from _run_node(run, setting)))
    except StoreAway:
        raise
    except (Exception, SystemExit, asyncio.CancelledError) as error:  # noqa: BLE001 - foreign code
        result = _broken(error)
    except BaseException:
        if not run.is_put_away:
            raise
        result = Broken(error_class=ErrorClass.INTERNAL, detail="put away")
    return _executed(run, result)


def _executed(run: TaskRun, result: TaskResult) -> Executed:
    """Say what came of a node: what the engine knows of it counts before what it says."""
    if run.derailed is not None:
        raise run.derailed
    effects = tuple(run.asker.settled)
    if run.stopped is not None:
        called_off = Broken(error_class=run.stopped, detail="the run was called off")
        return Executed(result=called_off, effects=effects, stopped=run.stopped)
    if run.released:
        given_back = Broken(error_class=ErrorClass.INTERNAL, detail="given back")
        return Executed(result=given_back, effects=effects, released=True)
    if run.held:
        return Executed(result=together(run.held), effects=effects)
    if isinstance(result, Finished):
        writes = {**result.writes, **run.files.writes()}
        result = replace(result, writes=writes, trace=trace_of(run.called, waited=run.waited))
    return Executed(result=result, effects=effects, heard=tuple(run.asker.answered))


def _run_node(run: TaskRun, setting: Setting) -> Work[Any]:
    node = run.node.run
    if not inspect.iscoroutinefunction(node):
        try:
            return node(SyncContext(setting, run))
        finally:
            run.over = True
            if run.in_flight:
                run.asker.shell.loop.run(run.landed())
    return (yield _in_scope(run, node, setting))


async def _in_scope(run: TaskRun, node: Callable[..., Any], setting: Setting) -> Any:
    """Run a coroutine; nothing that it started on the loop outlives it."""
    loop, scope = asyncio.get_running_loop(), Scope()
    pulled = asyncio.Event()

    async def whole() -> Any:
        try:
            return await node(Context(setting, run))
        finally:
            run.over = True  # at once: what it started may not ask for anything any more

    body = scope.begin(whole())
    try:
        with run.asker.brake.on(lambda: loop.call_soon_threadsafe(pulled.set)):
            return await _within_limits(run, body, pulled)
    finally:
        await scope.end()
        await run.landed()


async def _within_limits(run: TaskRun, body: asyncio.Task[Any], pulled: asyncio.Event) -> Any:
    """Wait for a node until it ends, is called off, or is out of time."""
    loop, deadline = asyncio.get_running_loop(), run.asker.claimed.deadline
    run.idle_since = loop.time()
    ends = inf if deadline is None else loop.time() + run.asker.time_left()
    stop = asyncio.ensure_future(pulled.wait())
    try:
        while True:
            left = run.patience(began := loop.time(), ends)
            await asyncio.wait({body, stop}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if body.done():
                return body.result()
            if stop.done():
                run.cut()
                raise Unwound
            if loop.time() - began - left > STOOD_STILL:  # it was the process, not the node
                run.idle_since = loop.time()
    finally:
        stop.cancel()


def _broken(error: BaseException) -> Broken:
    kind = type(error).__name__
    declared = getattr(error, "error_class", None)
    error_class = declared if isinstance(declared, ErrorClass) else ErrorClass.INTERNAL
    if error_class is ErrorClass.INTERNAL:
        log.warning("node.failed", error_type=kind, exc_info=error)
    detail = _told(error) if declared else f"{kind}: {_told(error)}"
    return Broken(error_class=error_class, detail=storable(detail))


def _told(error: BaseException) -> str:
    try:
        return str(error)[:2000]
    except Exception:  # noqa: BLE001 - an exception of foreign code that cannot even be told
        return "it cannot be told"
