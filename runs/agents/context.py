"""What an agent's code sees of its run: its input, its state, and doors to the world.

Everything asked for through a context is an effect: written down before it is sent,
answered from the ledger when the code runs again. Code between two effects may run more
than once; what it asks for happens once.
"""

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, Protocol, TypeVar

from gateway.core.messages import Message, ModelRequest, ToolOffer
from policy.core.json import Json, JsonObject, copied
from policy.core.money import Limits
from policy.core.outcomes import Done, ErrorClass, Failed, Outcome
from runs.agents.children import (
    Children,
    ChildResult,
    Join,
    Policy,
    SpawnRefused,
    judged,
    only,
    wants,
)
from runs.agents.files import FileDoor, WithFiles, WithSyncFiles
from runs.agents.state import State
from runs.errors import RunsError

T = TypeVar("T")

LONGEST_SLEEP: Final = 10 * 365 * 86400.0


class ToolFailed(RunsError):  # noqa: N818
    """A tool call gave no result; `failure` says why. The run goes on if you catch this."""

    def __init__(self, tool: str, failure: Failed) -> None:
        super().__init__(f"{tool}: {failure.error_class}: {failure.detail}")
        self.tool, self.failure = tool, failure

    @property
    def error_class(self) -> ErrorClass:
        """Give the class of the failure."""
        return self.failure.error_class


class ModelFailed(RunsError):  # noqa: N818
    """A model gave no answer; `failure` says why."""

    def __init__(self, model: str, failure: Failed) -> None:
        super().__init__(f"model {model}: {failure.error_class}: {failure.detail}")
        self.model, self.failure = model, failure

    @property
    def error_class(self) -> ErrorClass:
        """Give the class of the failure."""
        return self.failure.error_class


class InvalidSleep(RunsError):  # noqa: N818
    """A sleep that no clock can keep."""

    error_class = ErrorClass.VALIDATION_ERROR


class SignalTimeout(RunsError):  # noqa: N818
    """No signal of that name came in time; `failure` says how long was waited."""

    error_class = ErrorClass.TIMEOUT

    def __init__(self, name: str, failure: Failed) -> None:
        super().__init__(failure.detail)
        self.name, self.failure = name, failure


class Door(Protocol):
    """Where effects are asked for; the engine's side of a context."""

    @property
    def files(self) -> FileDoor:
        """Give the task's files."""
        ...

    async def tool(self, name: str, arguments: JsonObject, compensates: str = "") -> Outcome:
        """Call a tool, or find the recorded outcome of this very call.

        `compensates` is the key of the effect that the call undoes: no other call may.
        """
        ...

    async def model(self, request: ModelRequest) -> Outcome:
        """Ask a model, or find the recorded answer."""
        ...

    async def sleep(self, seconds: float) -> Outcome:
        """Wait, or find that the wait is over."""
        ...

    async def signal(self, name: str, seconds: float | None) -> Outcome:
        """Take a signal, or find the one that was taken, or that none came in time."""
        ...

    async def spawn(
        self,
        agent: str,
        inputs: Sequence[Json],
        *,
        version: str | None,
        budget: Limits | None,
    ) -> Outcome:
        """Start children, or find those that were started here."""
        ...

    async def join(self, join_id: str, want_succeeded: int, want_failed: int) -> Outcome:
        """Wait for children, or find what came of them."""
        ...

    async def offers(self) -> tuple[ToolOffer, ...]:
        """List the tools granted to this agent, as a model is told of them."""
        ...

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine from a plain function, and wait for it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """The facts of one task: where it is, what it was given, which model is its agent's."""

    run_id: str
    super_step: int
    task: str
    arg: Json = None
    agent: str = ""
    version: str = ""
    default_model: str = ""
    state: Mapping[str, Any] = field(default_factory=dict)


class _Base:
    def __init__(self, setting: Setting, door: Door) -> None:
        self._setting, self.door = setting, door

    @property
    def run_id(self) -> str:
        """Give the run's id."""
        return self._setting.run_id

    @property
    def super_step(self) -> int:
        """Give the number of super-steps committed before this one."""
        return self._setting.super_step

    @property
    def arg(self) -> Json:
        """Give the argument of this task, where a `Send` gave one."""
        return copied(self._setting.arg)

    @property
    def state(self) -> Mapping[str, Any]:
        """Give the channels' values, as a private copy."""
        return self._setting.state

    def _request(
        self,
        prompt: str | Sequence[Message],
        model: str,
        system: str,
        tools: tuple[ToolOffer, ...],
        max_tokens: int,
    ) -> ModelRequest:
        messages: Sequence[Message] = (
            [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
        )
        return ModelRequest(
            model=model or self._setting.default_model,
            messages=tuple(messages),
            system=system,
            tools=tools,
            max_tokens=max_tokens,
        )


class Context(_Base, WithFiles):
    """The context of a coroutine."""

    async def tool(self, name: str, /, **arguments: Json) -> Any:
        """Call a tool and give its result.

        Raises:
            ToolFailed: it was refused, rejected by a person, or failed for good.
        """
        outcome = await self.door.tool(name, arguments)
        if isinstance(outcome, Failed):
            raise ToolFailed(name, outcome)
        return outcome.value

    async def model(
        self,
        prompt: str | Sequence[Message],
        *,
        model: str = "",
        system: str = "",
        tools: tuple[ToolOffer, ...] = (),
        max_tokens: int = 4096,
    ) -> Any:
        """Ask a model; without a name, the agent's own. Gives `content` and `tool_calls`.

        Raises:
            ModelFailed: no answer was to be had.
        """
        request = self._request(prompt, model, system, tools, max_tokens)
        outcome = await self.door.model(request)
        if isinstance(outcome, Failed):
            raise ModelFailed(request.model, outcome)
        return outcome.value

    async def sleep(self, how_long: timedelta | float) -> None:
        """Wait, in seconds or as a timedelta. No worker and no connection is held meanwhile.

        Raises:
            InvalidSleep: it is negative, not a number, or longer than ten years.
        """
        await self.door.sleep(_seconds(how_long))

    async def wait_signal(self, name: str, *, timeout: timedelta | float | None = None) -> Any:
        """Wait for a signal and give its payload. One that came earlier is taken at once.

        `timeout` is in seconds or a timedelta; without one, only the run's deadline ends it.

        Raises:
            SignalTimeout: none came in time.
            InvalidSleep: the timeout is negative, not a number, or longer than ten years.
        """
        seconds = None if timeout is None else _seconds(timeout)
        return _payload(name, await self.door.signal(name, seconds))

    async def spawn(
        self,
        agent: str,
        inputs: Sequence[Json],
        *,
        version: str | None = None,
        budget: Limits | None = None,
    ) -> Children:
        """Start a run of another agent for each input: durable, and each on its own.

        Every budget above this run bounds them too, and so does its deadline; they are
        called off when it ends. `budget` is each child's own.

        Raises:
            SpawnRefused: the agent was not granted, is not known or takes no such input; or
                there are too many, or it is too deep. None was started.
        """
        return _spawned(agent, await self.door.spawn(agent, inputs, version=version, budget=budget))

    async def join(self, children: Children, policy: Policy = Join.ALL) -> list[ChildResult]:
        """Wait for children; no worker and no connection is held meanwhile.

        Raises:
            ChildrenFailed: fewer succeeded than the policy needs.
            InvalidJoin: they are not this run's, or are too few for the quorum.
        """
        wanted = wants(policy, len(children))
        return judged(children, policy, _value(await self.door.join(children.join_id, *wanted)))

    async def run_agent(self, agent: str, given: Json, *, version: str | None = None) -> Json:
        """Start one child, wait for it, and give its output.

        Raises:
            SpawnRefused: it was not started.
            ChildFailed: it did not succeed.
        """
        children = await self.spawn(agent, [given], version=version)
        return only(await self.join(children, Join.PARTIAL))

    async def call(self, name: str, arguments: JsonObject) -> Outcome:
        """Call a tool and give the outcome as it is, failed or done."""
        return await self.door.tool(name, arguments)

    async def ask(self, request: ModelRequest) -> Outcome:
        """Ask a model and give the outcome as it is, failed or done."""
        return await self.door.model(request)


class SyncContext(_Base, WithSyncFiles):
    """The context of a plain function: the same, waiting where the other awaits."""

    def tool(self, name: str, /, **arguments: Json) -> Any:
        """Call a tool and give its result; raises as `Context.tool`."""
        outcome = self.door.wait(self.door.tool(name, arguments))
        if isinstance(outcome, Failed):
            raise ToolFailed(name, outcome)
        return outcome.value

    def model(
        self,
        prompt: str | Sequence[Message],
        *,
        model: str = "",
        system: str = "",
        tools: tuple[ToolOffer, ...] = (),
        max_tokens: int = 4096,
    ) -> Any:
        """Ask a model; as `Context.model`."""
        request = self._request(prompt, model, system, tools, max_tokens)
        outcome = self.door.wait(self.door.model(request))
        if isinstance(outcome, Failed):
            raise ModelFailed(request.model, outcome)
        return outcome.value

    def sleep(self, how_long: timedelta | float) -> None:
        """Wait; as `Context.sleep`."""
        self.door.wait(self.door.sleep(_seconds(how_long)))

    def wait_signal(self, name: str, *, timeout: timedelta | float | None = None) -> Any:
        """Wait for a signal and give its payload; as `Context.wait_signal`."""
        seconds = None if timeout is None else _seconds(timeout)
        return _payload(name, self.door.wait(self.door.signal(name, seconds)))

    def spawn(
        self,
        agent: str,
        inputs: Sequence[Json],
        *,
        version: str | None = None,
        budget: Limits | None = None,
    ) -> Children:
        """Start a run of another agent for each input; as `Context.spawn`."""
        asked = self.door.spawn(agent, inputs, version=version, budget=budget)
        return _spawned(agent, self.door.wait(asked))

    def join(self, children: Children, policy: Policy = Join.ALL) -> list[ChildResult]:
        """Wait for children; as `Context.join`."""
        wanted = wants(policy, len(children))
        asked = self.door.join(children.join_id, *wanted)
        return judged(children, policy, _value(self.door.wait(asked)))

    def run_agent(self, agent: str, given: Json, *, version: str | None = None) -> Json:
        """Start one child, wait for it, and give its output; as `Context.run_agent`."""
        children = self.spawn(agent, [given], version=version)
        return only(self.join(children, Join.PARTIAL))


def _payload(name: str, outcome: Outcome) -> Any:
    if isinstance(outcome, Failed):
        raise SignalTimeout(name, outcome)
    return outcome.value


def _spawned(agent: str, outcome: Outcome) -> Children:
    if isinstance(outcome, Failed):
        raise SpawnRefused(agent, outcome)
    raw: Any = outcome.value
    return Children.of(raw)


def _value(outcome: Outcome) -> Json:
    """Give the value of what cannot fail; a run that ends meanwhile never comes back here."""
    return outcome.value if isinstance(outcome, Done) else []


def _seconds(how_long: timedelta | float) -> float:
    seconds = how_long.total_seconds() if isinstance(how_long, timedelta) else float(how_long)
    if not 0 <= seconds <= LONGEST_SLEEP:
        raise InvalidSleep(
            f"sleep from 0 seconds to {LONGEST_SLEEP:.0f} (ten years); got {seconds}"
        )
    return seconds


__all__ = [
    "Context",
    "Done",
    "Door",
    "InvalidSleep",
    "ModelFailed",
    "Setting",
    "SignalTimeout",
    "State",
    "SyncContext",
    "ToolFailed",
]
