"""The tools that code declares: name → function, with the schemas read off its types.

    @tool("crm.read", version="1", effect="read", risk="low")
    async def read_customer(customer_id: str) -> Customer:
        '''Look a customer up by id.'''

Importable without Django, so that the files of an agent can be tested in plain pytest.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Literal, TypeVar

from policy.core.decide import EffectClass, Risk
from tools.core.spec import ToolSpec
from tools.errors import InvalidTool, ToolError
from tools.signature import Signature, ToolContext, read

__all__ = ["LocalTool", "ToolContext", "ToolError", "implementation", "local", "tool"]

Function = TypeVar("Function", bound=Callable[..., Any])

NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*")
LONGEST_NAME: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalTool:
    """A declared tool and the function behind it."""

    spec: ToolSpec
    function: Callable[..., Any]
    signature: Signature
    is_async: bool


_tools: dict[str, LocalTool] = {}
_specs: dict[str, ToolSpec] = {}


def tool(  # noqa: PLR0913 - a declaration: every argument but the name is named and has a default
    name: str,
    *,
    version: str = "1",
    effect: Literal["read", "idempotent", "once"] = "once",
    risk: Literal["low", "medium", "high", "critical"] = "medium",
    timeout: float = 30.0,
    reversible: bool = False,
    summary: str = "",
) -> Callable[[Function], Function]:
    """Declare a function as a tool, and leave the function as it is.

    Its parameters are the arguments, its docstring is what the model is told, `summary`
    is what a reviewer reads (`"Refund ${amount} to customer {customer}"`). A parameter of
    type `ToolContext` gets the call's key and deadline. `effect` says what may be done
    when nobody knows whether a call happened; the careful answer is the default.

    Raises:
        InvalidTool: the name, the types or the limits cannot be used, or another
            function already has the name.
    """
    checked_name(name)
    if timeout <= 0:
        raise InvalidTool(f"tool {name}: its timeout must be above 0 seconds")

    def declare(function: Function) -> Function:
        signature = read(function, name)
        spec = ToolSpec(
            name=name,
            version=version,
            description=inspect.getdoc(function) or "",
            input_schema=signature.input_schema,
            output_schema=signature.output_schema,
            effect=EffectClass(effect),
            risk=Risk(risk),
            timeout=timeout,
            reversible=reversible,
            summary=summary,
        )
        _register(spec, function, signature)
        return function

    return declare


def checked_name(name: str) -> str:
    """Give the name back if a tool may be called so.

    Raises:
        InvalidTool: it may not.
    """
    if len(name) > LONGEST_NAME or NAME.fullmatch(name) is None:
        raise InvalidTool(
            f"{name!r} cannot name a tool: letters, digits, _ and -, in parts joined by dots, "
            f"at most {LONGEST_NAME} characters, like crm.read"
        )
    return name


def _register(spec: ToolSpec, function: Callable[..., Any], signature: Signature) -> None:
    before = _tools.get(spec.name)
    if before is not None and _place(before.function) != _place(function):
        raise InvalidTool(
            f"tool {spec.name} is declared twice: by {_place(before.function)} "
            f"and by {_place(function)}"
        )
    _tools[spec.name] = LocalTool(
        spec=spec,
        function=function,
        signature=signature,
        is_async=inspect.iscoroutinefunction(function),
    )
    _specs[spec.name] = spec


def _place(function: Callable[..., Any]) -> str:
    """Say where a function is written: a module read again declares the same tool again."""
    return f"{function.__module__}.{function.__qualname__}"


def local() -> Mapping[str, ToolSpec]:
    """Show every tool that code declared, by name."""
    return MappingProxyType(_specs)


def implementation(name: str) -> LocalTool | None:
    """Give the function behind a declared tool."""
    return _tools.get(name)
