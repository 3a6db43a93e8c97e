"""One tool call over MCP, and what became of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from policy.core.json import storable
from policy.core.outcomes import Done, ErrorClass, Failed, Outcome
from policy.core.rules.decide import EffectClass
from policy.foreign import Abandoned, within
from tools.core.spec import ToolCall
from tools.mcp.addresses import Address, known

if TYPE_CHECKING:
    import mcp_types as types
    from mcp.client.client import Client
    from mcp.shared.exceptions import MCPError

    from tools.mcp.transport import Trouble

RUN_META: Final = "agentops/run"
KEY_META: Final = "agentops/idempotency_key"
SESSION_GONE: Final = "Session terminated"
LONGEST_DETAIL: Final = 2000
_BY_STATUS: Final = {
    401: (ErrorClass.AUTH_ERROR, False),
    403: (ErrorClass.AUTH_ERROR, False),
    407: (ErrorClass.AUTH_ERROR, False),
    408: (ErrorClass.TIMEOUT, True),
    429: (ErrorClass.RATE_LIMITED, False),
    504: (ErrorClass.TIMEOUT, True),
}
_BY_KIND: Final = {
    "refused": (ErrorClass.TRANSIENT_DEPENDENCY, False),
    "broken": (ErrorClass.TRANSIENT_DEPENDENCY, True),
    "timeout": (ErrorClass.TIMEOUT, True),
    "unreadable": (ErrorClass.VALIDATION_ERROR, True),
}


async def call(call: ToolCall, *, seconds: float) -> Outcome:
    """Call a remote tool. Every failure is a value; only our own cancellation is raised."""
    address = known(call.spec.server_id)
    if address is None:
        return Failed(
            error_class=ErrorClass.INTERNAL,
            detail=f"the address or the token of {call.spec.name}'s server could not be read",
        )
    progress = _Progress()
    try:
        result = await within(seconds, _ask(call, address, progress, seconds))
    except TimeoutError as error:
        return _failed(ErrorClass.TIMEOUT, str(error), in_doubt=progress.sent)
    except Abandoned as error:
        return _failed(ErrorClass.TRANSIENT_DEPENDENCY, str(error), in_doubt=progress.sent)
    except Exception as error:  # noqa: BLE001 - the SDK's foreign code
        return _failure(call, error, progress)
    return _outcome(result)


class _Progress:
    """How far a call has come: once sent, its effect may happen."""

    sent = False


async def _ask(
    call: ToolCall, address: Address, progress: _Progress, seconds: float
) -> types.CallToolResult:
    from mcp.shared.exceptions import MCPError  # noqa: PLC0415 - heavy, first call only
    from mcp_types import CONNECTION_CLOSED, HEADER_MISMATCH  # noqa: PLC0415

    from tools.mcp.connections import borrowed, forget  # noqa: PLC0415

    async with borrowed(address) as client:
        progress.sent = True
        try:
            return await _send(client, call, seconds)
        except MCPError as error:
            if error.code == CONNECTION_CLOSED or error.message == SESSION_GONE:
                forget(address)
            if error.code != HEADER_MISMATCH:
                raise
        await client.list_tools()  # it wants headers that its listing names
        return await _send(client, call, seconds)


async def _send(client: Client, call: ToolCall, seconds: float) -> types.CallToolResult:
    import mcp_types as types  # noqa: PLC0415 - heavy, first call only

    meta: dict[str, Any] = {**call.meta, RUN_META: call.run_id, KEY_META: call.key}
    params = types.CallToolRequestParams(
        name=call.spec.remote_name or call.spec.name,
        arguments=dict(call.arguments),
        _meta=meta,
    )
    return await client.session.send_request(
        types.CallToolRequest(params=params),
        types.CallToolResult,
        request_read_timeout_seconds=seconds,
    )


def _outcome(result: types.CallToolResult) -> Outcome:
    if result.is_error:
        return _failed(ErrorClass.PERMANENT_DEPENDENCY, _text(result), in_doubt=False)
    if result.structured_content is not None:
        return Done(value=result.structured_content)
    return Done(value=_text(result))


def _text(result: types.CallToolResult) -> str:
    parts = (
        block.text if block.type == "text" else f"[{block.type} left out]"
        for block in result.content
    )
    return "\n".join(parts)


def _failure(call: ToolCall, error: Exception, progress: _Progress) -> Failed:
    from mcp.shared.exceptions import MCPError  # noqa: PLC0415 - heavy, first call only

    from tools.mcp.connections import NotConnected  # noqa: PLC0415

    changes = call.spec.effect is not EffectClass.READ
    if isinstance(error, NotConnected):
        cause = error.__cause__
        if isinstance(cause, MCPError) and (failed := _by_transport(cause)) is not None:
            return replace(failed, in_doubt=False)
        return _failed(ErrorClass.TRANSIENT_DEPENDENCY, str(error), in_doubt=False)
    if isinstance(error, MCPError):
        return _by_transport(error) or _by_code(error, changes=changes)
    detail = f"{type(error).__name__}: {error}"
    return _failed(ErrorClass.VALIDATION_ERROR, detail, in_doubt=progress.sent and changes)


def _by_transport(error: MCPError) -> Failed | None:
    from tools.mcp.transport import trouble  # noqa: PLC0415 - heavy, first call only

    found: Trouble | None = trouble(error.data)
    if found is None:
        return None
    default = (ErrorClass.TRANSIENT_DEPENDENCY, True)
    error_class, in_doubt = (
        _BY_STATUS.get(found.status, default) if found.kind == "status" else _BY_KIND[found.kind]
    )
    return _failed(error_class, error.message, in_doubt=in_doubt, retry_after=found.retry_after)


def _by_code(error: MCPError, *, changes: bool) -> Failed:
    import mcp_types as types  # noqa: PLC0415 - heavy, first call only

    gone = error.message == SESSION_GONE
    known_codes = {
        types.METHOD_NOT_FOUND: (ErrorClass.PERMANENT_DEPENDENCY, False),
        types.INVALID_PARAMS: (ErrorClass.PERMANENT_DEPENDENCY, False),
        types.INVALID_REQUEST: (ErrorClass.TRANSIENT_DEPENDENCY, changes and not gone),
        types.CONNECTION_CLOSED: (ErrorClass.TRANSIENT_DEPENDENCY, True),
        types.REQUEST_TIMEOUT: (ErrorClass.TIMEOUT, True),
        types.PARSE_ERROR: (ErrorClass.VALIDATION_ERROR, True),
    }
    error_class, in_doubt = known_codes.get(error.code, (ErrorClass.PERMANENT_DEPENDENCY, changes))
    return _failed(error_class, error.message, in_doubt=in_doubt)


def _failed(
    error_class: ErrorClass, detail: str, *, in_doubt: bool, retry_after: float | None = None
) -> Failed:
    text = str(storable(detail))[:LONGEST_DETAIL]
    return Failed(error_class=error_class, detail=text, in_doubt=in_doubt, retry_after=retry_after)
