"""The tools that code declares: name → function, with the schemas read off its types.

    @tool("crm.read", version="1", effect="read", risk="low")
    async def read_customer(customer_id: str) -> Customer:
        '''Look a customer up by id.'''

Importable without Django, so that the files of an agent can be tested in plain pytest.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from math import inf
from types import MappingProxyType
from typing import Any, Final, Literal, TypeVar

from policy.core import money
from policy.core.json import JsonObject
from policy.core.retry import RetryPolicy
from policy.core.rules.decide import EffectClass, Risk
from tools.core.finding import CannotTell, Happened, NotHappened
from tools.core.spec import ToolSpec
from tools.errors import InvalidTool, ToolError
from tools.signature import Signature, ToolContext, read

__all__ = [
    "CannotTell",
    "Happened",
    "LocalTool",
    "NotHappened",
    "ToolContext",
    "ToolError",
    "implementation",
    "local",
    "tool",
]

Function = TypeVar("Function", bound=Callable[..., Any])

NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*")
LONGEST_NAME: Final = 100
SMALLEST: Final = Decimal("1E-9")
MEASURES: Final = ("money", "people", "confidence")


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalTool:
    """A declared tool and the function behind it."""

    spec: ToolSpec
    function: Callable[..., Any]
    signature: Signature
    is_async: bool
    reconcile: Callable[..., Any] | None = None


_tools: dict[str, LocalTool] = {}
_specs: dict[str, ToolSpec] = {}


def tool(  # noqa: PLR0913 - a declaration: every argument but the name is named and has a default
    name: str,
    *,
    version: str = "1",
    effect: Literal["read", "idempotent", "once"] = "once",
    risk: Literal["low", "medium", "high", "critical"] = "medium",
    timeout: float = 30.0,
    reversible: bool | None = None,
    egress: bool = False,
    targets: Iterable[str] | None = None,
    trusted: bool = False,
    summary: str = "",
    reconcile: Callable[..., Any] | None = None,
    compensate: Callable[..., Any] | str = "",
    measures: Mapping[str, str] | None = None,
    retry: RetryPolicy | None = None,
    price: Decimal | str | float = 0,
) -> Callable[[Function], Function]:
    """Declare a function as a tool, and leave the function as it is.

    Its parameters are the arguments, its docstring is what the model is told. A parameter of
    type `ToolContext` gets the call's key and deadline. What the declaration says of it stands
    with the fields of `ToolSpec`; the careful answer is always the default.
    `reconcile` is a function `(arguments, call: ToolContext)` that finds it out, by reading
    only: it returns `Happened(result)`, `NotHappened()` or `CannotTell(why)`. `compensate` is
    the tool that undoes a call, by its name, or a function that becomes the tool
    `<name>.compensate`; its parameters are filled by name (`runs.core.recorded.compensation`).
    `measures` names the parameters that triggers of rules look at. `price` is in US dollars.

    Raises:
        InvalidTool: name, types or limits cannot be used, or another function has the name.
    """
    timeout = checked_timeout(checked_name(name), timeout)

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
            egress=egress,
            targets=None if targets is None else tuple(targets),
            trusted=trusted,
            summary=summary,
            reconcile=_hook(name, reconcile),
            compensate=_compensating(name, compensate, version=version, risk=risk, timeout=timeout),
            measures=checked_measures(name, measures or {}, signature.input_schema),
            retry=retry,
            price=checked_price(name, price),
        )
        _register(spec, function, signature, reconcile)
        return function

    return declare


def checked_timeout(name: str, timeout: float) -> float:
    """Give how many seconds a call may take, or raise InvalidTool."""
    if not 0 < timeout < inf:
        raise InvalidTool(f"tool {name}: its timeout must be a number of seconds above 0")
    return timeout


def checked_measures(name: str, measures: Mapping[str, str], schema: JsonObject) -> dict[str, str]:
    """Give measures back if every one names an argument of the tool.

    Raises:
        InvalidTool: one does not, or measures what nobody knows of.
    """
    for measure, argument in measures.items():
        if measure not in MEASURES:
            raise InvalidTool(f"tool {name}: measures are {', '.join(MEASURES)}, not {measure!r}")
        if argument not in schema.get("properties", {}):
            raise InvalidTool(f"tool {name}: it has no argument {argument!r} to measure by")
    return dict(measures)


def checked_price(name: str, price: Decimal | str | float) -> Decimal:
    """Give a price as budgets count money: US dollars, nine decimal places.

    Raises:
        InvalidTool: it is no amount, or less than nothing.
    """
    try:
        amount = Decimal(str(price))
    except InvalidOperation:
        raise InvalidTool(f"tool {name}: {price!r} is no price") from None
    if not amount.is_finite() or not 0 <= amount <= money.MOST:
        raise InvalidTool(f"tool {name}: a price is from 0 to {money.MOST:,} US dollars")
    if amount != amount.quantize(SMALLEST):
        raise InvalidTool(f"tool {name}: a price has nine decimal places at most")
    return amount


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


def _hook(name: str, hook: Callable[..., Any] | None) -> str:
    """Name a reconcile hook.

    Raises:
        InvalidTool: it cannot be called with the arguments and the call's context.
    """
    if hook is None:
        return ""
    try:
        inspect.signature(hook).bind({}, None)
    except TypeError as error:
        raise InvalidTool(
            f"tool {name}: its reconcile hook is called as hook(arguments, call): {error}"
        ) from error
    return _place(hook)


def _compensating(name: str, undo: Callable[..., Any] | str, **same: Any) -> str:
    if isinstance(undo, str):
        return checked_name(undo) if undo else ""
    named = f"{name}.compensate"
    tool(named, effect="once", summary=f"Undo a call of {name}", **same)(undo)
    return named


def _register(
    spec: ToolSpec,
    function: Callable[..., Any],
    signature: Signature,
    reconcile: Callable[..., Any] | None,
) -> None:
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
        reconcile=reconcile,
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
