"""HTTP under the MCP client, made so that one broken request stays one broken request.

The SDK's client dies as a whole when one of its requests meets a dead connection, and
every call under way on it ends in a `CancelledError`. Here such a request is answered
with a JSON-RPC error of our own instead, marked so that no server can pretend to it.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from typing import Any, Final, Literal

import httpx2

from policy.egress import AiohttpTransport

Kind = Literal["refused", "broken", "timeout", "unreadable", "status"]

CONNECTIONS: Final = 256
_MARK: Final = secrets.token_hex(16)
_OURS: Final = -32099
_TELLING: Final = {401, 403, 407, 408, 409, 425, 429}
_SERVER_ERROR: Final = 500


@dataclass(frozen=True, slots=True)
class Trouble:
    """What became of a request that got no answer in JSON-RPC."""

    kind: Kind
    status: int = 0
    retry_after: float | None = None


def trouble(data: Any) -> Trouble | None:
    """Read an error's data: what became of the request, if it was this module that says so."""
    if isinstance(data, dict) and data.get("mark") == _MARK:
        return Trouble(data["kind"], data["status"], data["retry_after"])
    return None


class ContainedTransport(httpx2.AsyncBaseTransport):
    """Turns what HTTP says of a failed POST into a JSON-RPC error for that request alone."""

    def __init__(self) -> None:
        self._inner = AiohttpTransport(connections=CONNECTIONS)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.method != "POST":
            return await self._inner.handle_async_request(request)
        try:
            answer = await self._inner.handle_async_request(request)
        except httpx2.RequestError as error:
            return _error(request, Trouble(_kind(error)), str(error))
        if answer.status_code in _TELLING or answer.status_code >= _SERVER_ERROR:
            wait = retry_after(answer.headers.get("retry-after"))
            found = Trouble("status", answer.status_code, wait)
            return _error(request, found, f"the server answered {answer.status_code}")
        return answer

    async def aclose(self) -> None:
        await self._inner.aclose()


def _kind(error: httpx2.RequestError) -> Kind:
    if isinstance(error, httpx2.ConnectError):
        return "refused"
    if isinstance(error, httpx2.TimeoutException):
        return "timeout"
    return "unreadable" if isinstance(error, httpx2.DecodingError) else "broken"


def retry_after(header: str | None) -> float | None:
    """Read a Retry-After header of seconds."""
    try:
        return max(float(header), 0.0) if header else None
    except ValueError:
        return None


def _error(request: httpx2.Request, found: Trouble, message: str) -> httpx2.Response:
    data = {
        "mark": _MARK,
        "kind": found.kind,
        "status": found.status,
        "retry_after": found.retry_after,
    }
    body = {
        "jsonrpc": "2.0",
        "id": None,
        "error": {"code": _OURS, "message": message, "data": data},
    }
    return httpx2.Response(
        502,
        headers={"content-type": "application/json"},
        content=json.dumps(body).encode(),
        request=request,
    )
