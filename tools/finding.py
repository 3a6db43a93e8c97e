"""Find out what became of a call: ask the tool's own reconcile hook, which only reads.

    ToolCall ──▶ hook of the code, or a read tool of the same server ──▶ Happened | NotHappened
                                                                      │ CannotTell
                                                                      │ Failed: ask again later

The hook belongs to the tool: whoever was allowed to make the call may find out what came of
it, so it needs no permit of its own.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from pydantic import ValidationError

from policy.core.json import canonical, copied, parsed, storable
from policy.core.outcomes import Done, ErrorClass, Failed
from policy.core.rules.decide import EffectClass
from policy.foreign import within
from tools import mcp, registry, schemas
from tools.core.finding import CannotTell, Found, Happened, NotHappened
from tools.core.spec import ToolCall
from tools.errors import ToolError
from tools.threads import in_thread

LARGEST_RESULT: Final = 1024 * 1024
LONGEST_DETAIL: Final = 2000

Hook = Callable[..., Any]


async def find_out(call: ToolCall, *, now: datetime) -> Found:
    """Say what became of a call, within the call's own time limit. Never raises for a hook.

    Runs on the I/O loop. It needs no database and no tenancy scope.
    """
    seconds = min(call.timeout, call.spec.timeout)
    if seconds <= 0:
        return Failed(error_class=ErrorClass.TIMEOUT, detail="no time was left to find out")
    if call.spec.server_id:
        return await _of_a_server(call, seconds)
    tool = registry.implementation(call.spec.name)
    if tool is None or tool.reconcile is None:
        return CannotTell("the tool has no reconcile hook any more")
    found = await ask(tool.reconcile, call, seconds=seconds, now=now)
    return _checked(call, found, tool.signature.dumped)


async def ask(hook: Hook, call: ToolCall, *, seconds: float, now: datetime) -> Found:
    """Ask a hook of the code; whatever it does wrong is a `Failed`."""
    context = registry.ToolContext(
        idempotency_key=call.key,
        run_id=call.run_id,
        tenant_id=call.tenant_id,
        deadline=now + timedelta(seconds=seconds),
    )
    given = copied(dict(call.arguments))
    try:
        if inspect.iscoroutinefunction(hook):
            found = await within(seconds, _kept_in(hook(given, context)))
        else:
            found = await in_thread(
                f"{call.spec.name}:reconcile", lambda: hook(given, context), seconds=seconds
            )
    except ToolError as error:
        return Failed(error_class=error.error_class, detail=str(storable(error.detail)))
    except Exception as error:  # noqa: BLE001 - foreign code: whatever it raises is an answer
        return _failed(f"{type(error).__name__}: {error}")
    if not isinstance(found, Happened | NotHappened | CannotTell):
        kind = type(found).__name__
        return _failed(f"a reconcile hook gives Happened, NotHappened or CannotTell, not {kind}")
    return found


async def _kept_in(work: Awaitable[Any]) -> Any:
    """Keep a hook from ending the I/O loop, and with it every call of the process."""
    try:
        return await work
    except (SystemExit, KeyboardInterrupt) as error:
        raise RuntimeError(f"the hook raised {type(error).__name__}") from error


def _checked(call: ToolCall, found: Found, dumped: Callable[[Any], Any]) -> Found:
    """Let a result through if it is one that the tool itself could have given."""
    if not isinstance(found, Happened):
        return found
    try:
        value = storable(dumped(found.result))
        size = len(canonical(value))
    except (ValidationError, ValueError, TypeError, RecursionError) as error:
        return CannotTell(f"it happened, but the result cannot be used: {error}"[:LONGEST_DETAIL])
    if size > LARGEST_RESULT:
        return CannotTell(f"it happened, but its result has {size} bytes")
    if wrong := schemas.faults(call.spec, "output", value):
        return CannotTell(f"it happened, but the result cannot be used: {wrong}"[:LONGEST_DETAIL])
    return Happened(value)


async def _of_a_server(call: ToolCall, seconds: float) -> Found:
    """Ask the read tool that the operator named for this one."""
    if not call.spec.reconcile:
        return CannotTell("the tool has no reconcile tool any more")
    spec = replace(
        call.spec, remote_name=call.spec.reconcile, effect=EffectClass.READ, output_schema=None
    )
    asked = {"arguments": dict(call.arguments), "idempotency_key": call.key}
    look = replace(call, spec=spec, arguments=asked, key=f"{call.key}/reconcile")
    outcome = await mcp.call(look, seconds=seconds)
    if not isinstance(outcome, Done):
        return outcome
    return _checked(call, _read(outcome.value), lambda value: value)


def _read(answer: Any) -> Found:
    """Read `{"happened": true, "result": ...}`, `false` or `null`, as structure or as text."""
    try:
        said = parsed(answer) if isinstance(answer, str) else answer
    except ValueError:
        said = answer
    match said:
        case Mapping() if said.get("happened") is True:
            return Happened(said.get("result"))
        case Mapping() if said.get("happened") is False:
            return NotHappened()
        case Mapping() if "happened" in said and said["happened"] is None:
            return CannotTell(str(said.get("why", "the server cannot tell")))
        case _:
            return _failed('its reconcile tool answers {"happened": true | false | null}')


def _failed(detail: str) -> Failed:
    return Failed(
        error_class=ErrorClass.PERMANENT_DEPENDENCY,
        detail=str(storable(detail))[:LONGEST_DETAIL],
    )
