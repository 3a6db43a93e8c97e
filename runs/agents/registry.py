"""The agents that are written in code: what the decorators collected."""

from __future__ import annotations

import importlib
import inspect
import sys
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, TypeAlias, TypeVar

from pydantic import TypeAdapter, ValidationError

from policy.core.call import Autonomy
from policy.core.json import Json
from policy.core.money import Limits
from policy.core.retry import RetryPolicy
from runs.agents.children import ChildLimits
from runs.agents.program import Mapped, OnExhausted, Program
from runs.core.graph import INPUT, OUTPUT, Graph, Node, graph
from runs.core.guards import LoopGuard
from runs.core.recorded.migrate import Migration
from runs.errors import InvalidGraph, InvalidInput

AutonomyName: TypeAlias = Literal[
    "observe", "suggest", "act_with_approval", "act_within_limits", "act"
]

F = TypeVar("F", bound=Callable[..., Any])

_AGENTS: dict[tuple[str, str], Program] = {}
_LOADED: dict[tuple[str, str], Program] = {}


def code_agents() -> Mapping[tuple[str, str], Program]:
    """Give every agent version that code declares, by name and version."""
    return dict(_AGENTS)


def latest(name: str) -> Program | None:
    """Give the version of a name that was declared last, or None."""
    found = [program for (known, _), program in _AGENTS.items() if known == name]
    return found[-1] if found else None


@contextmanager
def apart() -> Iterator[None]:
    """Let the agents declared within be the only ones, and forget them afterwards.

    What was loaded from folders meanwhile stays: a module is imported once and declares once.
    """
    before = dict(_AGENTS)
    _AGENTS.clear()
    try:
        yield
    finally:
        _AGENTS.clear()
        _AGENTS.update(before)
        for key, made in _LOADED.items():
            _AGENTS.setdefault(key, made)


def register(program: Program) -> Program:
    """Add an agent version; declaring the same one again replaces it."""
    _AGENTS.pop((program.name, program.version), None)
    _AGENTS[program.name, program.version] = program
    return program


def agent(  # noqa: PLR0913 - a declaration, read by keyword
    name: str,
    *,
    version: str,
    model: str = "",
    tools: Iterable[str] = (),
    agents: Iterable[str] = (),
    children: ChildLimits | None = None,
    autonomy: Autonomy | AutonomyName = Autonomy.ACT,
    max_super_steps: int = 20,
    guard: LoopGuard | None = None,
    budget: Limits | None = None,
    on_exhausted: OnExhausted = "pause",
    deadline: timedelta | None = None,
    deadline_stops_for_people: bool = False,
    retry: RetryPolicy | None = None,
    max_effects: int = 200,
    node_timeout: timedelta = timedelta(minutes=10),
    migrates: Mapping[str, Migration | Mapped] | None = None,
) -> Callable[[F], F]:
    """Make an agent of a function `(ctx, request) -> report`, plain or async.

    The request's annotation is the input's schema: what does not fit it is refused when
    a run is started. `autonomy` is the most it may do by itself, whatever policy allows. The
    function is one task: resumed, it runs from its top and finds its recorded effects.

    `migrates` says how runs of older versions go on under this one; its node is "main".

    Raises:
        InvalidGraph: the function does not take a context and a request.
    """
    patience = retry or RetryPolicy()

    def declare(function: F) -> F:
        takes, gives = _types(function)
        run = _reporting(_taking(function, takes), gives)
        node = Node(
            name="main", run=run, retry=patience, max_effects=max_effects, timeout=node_timeout
        )
        register(
            Program(
                name=name,
                version=version,
                graph=graph(node, start="main", max_super_steps=max_super_steps, guard=guard),
                model=model,
                tools=tuple(tools),
                agents=tuple(agents),
                children=children or ChildLimits(),
                autonomy=Autonomy(autonomy),
                budget=budget or Limits(),
                on_exhausted=on_exhausted,
                deadline=deadline,
                deadline_stops_for_people=deadline_stops_for_people,
                **_described(function, takes),
                migrates=migrates or {},
            )
        )
        return function

    return declare


def graph_agent(name: str, *, version: str, of: Graph, **options: Any) -> Program:
    """Register a graph as an agent version; options are `Program`'s fields."""
    return register(Program(name=name, version=version, graph=of, **options))


def load(paths: Iterable[Path]) -> None:
    """Import every agent found below folders: `<folder>/<name>/__init__.py` or `<name>.py`.

    They become modules of one package, `agents`; of two with one name the first counts.

    Raises:
        Exception: whatever an agent's own code raises; a broken agent stops the start.
    """
    folders = [folder for folder in paths if folder.is_dir()]
    package = sys.modules.setdefault("agents", ModuleType("agents"))
    known = list(getattr(package, "__path__", ()))
    package.__path__ = [*known, *(str(f) for f in folders if str(f) not in known)]
    importlib.invalidate_caches()
    before = dict(_AGENTS)
    for folder in folders:
        for found in sorted(folder.glob("*")):
            source = found / "__init__.py" if found.is_dir() else found
            if source.suffix == ".py" and source.exists() and not found.name.startswith("_"):
                importlib.import_module(f"agents.{found.stem}")
    _LOADED.update((key, made) for key, made in _AGENTS.items() if before.get(key) is not made)


def _types(function: Callable[..., Any]) -> tuple[TypeAdapter[Any], TypeAdapter[Any]]:
    parameters = list(inspect.signature(function).parameters.values())
    if len(parameters) != 2:  # noqa: PLR2004
        raise InvalidGraph(f"{function.__name__} must take a context and a request")
    hints = typing.get_type_hints(function)
    return TypeAdapter(hints.get(parameters[1].name, Any)), TypeAdapter(hints.get("return", Any))


def _described(function: F, takes: TypeAdapter[Any]) -> dict[str, Any]:
    return {
        "input_schema": takes.json_schema(),
        "accept": _accepting(takes),
        "description": inspect.getdoc(function) or "",
    }


def _taking(function: Callable[..., Any], takes: TypeAdapter[Any]) -> Callable[..., Any]:
    def main(ctx: Any) -> Any:
        return function(ctx, takes.validate_python(ctx.state[INPUT]))

    async def amain(ctx: Any) -> Any:
        return await function(ctx, takes.validate_python(ctx.state[INPUT]))

    return amain if inspect.iscoroutinefunction(function) else main


def _reporting(runner: Callable[..., Any], gives: TypeAdapter[Any]) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(runner):

        async def reported(ctx: Any) -> Any:
            return {OUTPUT: gives.dump_python(await runner(ctx), mode="json")}

        return reported

    def reported_at_once(ctx: Any) -> Any:
        return {OUTPUT: gives.dump_python(runner(ctx), mode="json")}

    return reported_at_once


def _accepting(takes: TypeAdapter[Any]) -> Callable[[Json], Json]:
    def accept(value: Json) -> Json:
        try:
            return takes.dump_python(takes.validate_python(value), mode="json")
        except ValidationError as error:
            raise InvalidInput(
                [("/" + "/".join(str(part) for part in e["loc"]), e["msg"]) for e in error.errors()]
            ) from error

    return accept
