"""The one door to every tool: check the permit, check the arguments, run, check the result.

    ToolCall + Permit ──▶ arguments fit? ──▶ run, in its time ──▶ result fits? ──▶ Done
                                │                  │                   │
                                └──── Failed ◀─────┴───────────────────┘

Whatever a tool does wrong comes back as a `Failed`, never as an exception. A failure is in
doubt when what the call asked for may have happened all the same.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, Final

from pydantic import ValidationError

from policy.core.json import Json, canonical, digest, storable
from policy.core.outcomes import Done, ErrorClass, Failed, Outcome
from policy.core.rules.decide import EffectClass
from policy.enforce import Permit
from policy.foreign import Abandoned, within
from tools import mcp, registry, schemas
from tools.core.spec import ToolCall
from tools.errors import PermitMismatch, ToolError
from tools.threads import NoFreeThread, in_thread

LARGEST_RESULT: Final = 1024 * 1024
LONGEST_DETAIL: Final = 2000


async def invoke(call: ToolCall, *, permit: Permit, now: datetime) -> Outcome:
    """Make a call, and say what came of it.

    Runs on the I/O loop. It needs no database and no tenancy scope. A cancellation of
    ours goes through; the tool is told to stop, and may have happened.

    Raises:
        PermitMismatch: the permit is not for exactly this call, or it ran out.
    """
    asked = digest(call.spec.name, call.spec.version, dict(call.arguments))
    if not permit.covers(tool=call.spec.name, digest=asked, now=now):
        raise PermitMismatch(f"no permit for this call of {call.spec.name}")
    if wrong := schemas.faults(call.spec, "input", call.arguments):
        return Failed(error_class=ErrorClass.VALIDATION_ERROR, detail=wrong[:LONGEST_DETAIL])
    seconds = min(call.timeout, call.spec.timeout)
    if seconds <= 0:
        return Failed(error_class=ErrorClass.TIMEOUT, detail="no time was left to call it")
    if call.spec.server_id:
        return _checked(call, await mcp.call(call, seconds=seconds))
    return await _local(call, seconds=seconds, now=now)


async def _local(call: ToolCall, *, seconds: float, now: datetime) -> Outcome:
    tool = registry.implementation(call.spec.name)
    if tool is None or tool.spec.version != call.spec.version:
        have = "gone from the code" if tool is None else f"version {tool.spec.version} now"
        return Failed(
            error_class=ErrorClass.PERMANENT_DEPENDENCY,
            detail=f"{call.spec.name} {call.spec.version} was asked for; it is {have}",
        )
    context = registry.ToolContext(
        idempotency_key=call.key,
        run_id=call.run_id,
        tenant_id=call.tenant_id,
        deadline=now + timedelta(seconds=seconds),
    )
    try:
        arguments = tool.signature.arguments(call.arguments, context)
    except ValidationError as error:
        return Failed(error_class=ErrorClass.VALIDATION_ERROR, detail=_pointed(error))
    return await _ran(call, _runner(tool, arguments, seconds), tool)


def _runner(
    tool: registry.LocalTool, arguments: dict[str, Any], seconds: float
) -> Callable[[], Awaitable[Any]]:
    if tool.is_async:
        return lambda: within(seconds, _kept_in(tool.function(**arguments)))
    return lambda: in_thread(tool.spec.name, lambda: tool.function(**arguments), seconds=seconds)


async def _kept_in(work: Awaitable[Any]) -> Any:
    """Keep a tool from ending the I/O loop, and with it every other call of the process."""
    try:
        return await work
    except (SystemExit, KeyboardInterrupt) as error:
        raise RuntimeError(f"the tool raised {type(error).__name__}") from error


async def _ran(
    call: ToolCall, run: Callable[[], Awaitable[Any]], tool: registry.LocalTool
) -> Outcome:
    try:
        result = await run()
    except Exception as error:  # noqa: BLE001 - foreign code: whatever it raises is an outcome
        return _failure(call, error)
    try:
        return _checked(call, Done(value=tool.signature.dumped(result)))
    except ValidationError as error:
        return _unusable(call, f"not what {call.spec.name} declares: {_pointed(error)}")
    except (ValueError, TypeError, RecursionError) as error:
        return _unusable(call, f"not JSON: {error}")


def _failure(call: ToolCall, error: Exception) -> Failed:
    changes = call.spec.effect is not EffectClass.READ
    match error:
        case ToolError():
            return Failed(
                error_class=error.error_class,
                detail=storable(error.detail)[:LONGEST_DETAIL],
                in_doubt=error.in_doubt,
                retry_after=error.retry_after,
            )
        case NoFreeThread():
            return Failed(error_class=ErrorClass.TRANSIENT_DEPENDENCY, detail=str(error))
        case TimeoutError():
            error_class, in_doubt = ErrorClass.TIMEOUT, True
        case Abandoned():
            error_class, in_doubt = ErrorClass.TRANSIENT_DEPENDENCY, True
        case ConnectionError():
            error_class, in_doubt = ErrorClass.TRANSIENT_DEPENDENCY, changes
        case _:
            error_class, in_doubt = ErrorClass.PERMANENT_DEPENDENCY, changes
    detail = storable(f"{type(error).__name__}: {error}")[:LONGEST_DETAIL]
    return Failed(error_class=error_class, detail=detail, in_doubt=in_doubt)


def _checked(call: ToolCall, outcome: Outcome) -> Outcome:
    """Let a result through if everything else in the product can hold it."""
    if isinstance(outcome, Failed):
        return outcome
    try:
        value: Json = storable(outcome.value)
        size = len(canonical(value))
    except ValueError as error:
        return _unusable(call, str(error))
    if size > LARGEST_RESULT:
        return _unusable(call, f"{size} bytes are more than the {LARGEST_RESULT} allowed")
    if wrong := schemas.faults(call.spec, "output", value):
        return _unusable(call, wrong)
    return Done(value=value, usage=outcome.usage)


def _unusable(call: ToolCall, why: str) -> Failed:
    """Report a result that cannot be used. The tool did run: what it changed is changed."""
    return Failed(
        error_class=ErrorClass.VALIDATION_ERROR,
        detail=f"the result cannot be used: {why}"[:LONGEST_DETAIL],
        in_doubt=call.spec.effect is not EffectClass.READ,
    )


def _pointed(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_context=False, include_input=False)
    parts = ("/" + "/".join(str(p) for p in one["loc"]) + f": {one['msg']}" for one in found[:5])
    return str(storable("; ".join(parts)))[:LONGEST_DETAIL]
