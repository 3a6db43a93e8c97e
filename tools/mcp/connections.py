"""One supervised task per tool server and loop, which holds the shared client.

    absent ──first call──▶ connecting ──handshake──▶ open ──▶ closed (address changed, broken)
       ▲                        │                                  │
       └────────failed──────────┘◀────────────next call────────────┘

The client lives and dies inside its task. A caller only borrows it; when the task ends
while callers wait, they learn it as their own failure, and the next call opens a new one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakKeyDictionary

import httpx2
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client

from tools.mcp.addresses import Address
from tools.mcp.transport import ContainedTransport


class NotConnected(Exception):  # noqa: N818 - a state; nothing was called
    """The handshake with the server failed; no call was made. The cause says why."""


_open: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, Connection]]
_open = WeakKeyDictionary()


@asynccontextmanager
async def borrowed(address: Address) -> AsyncIterator[Client]:
    """Lend the shared client of a server, connecting first where needed.

    Raises:
        NotConnected: the handshake failed.
    """
    connections = _open.setdefault(asyncio.get_running_loop(), {})
    connection = connections.get(address.server_id)
    if connection is None or connection.address != address or connection.ended:
        if connection is not None:
            connection.retire()
        connection = connections[address.server_id] = Connection(address)
    with connection:
        yield await connection.client()


def forget(address: Address) -> None:
    """Let the next call of a server connect anew."""
    connection = _open.get(asyncio.get_running_loop(), {}).pop(address.server_id, None)
    if connection is not None:
        connection.retire()


async def close_all() -> None:
    """Close the running loop's connections, and wait until they are."""
    connections = _open.pop(asyncio.get_running_loop(), {})
    for connection in connections.values():
        connection.retire()
    await asyncio.gather(*(connection.task for connection in connections.values()))


class Connection:
    """A client and the task that it lives in."""

    def __init__(self, address: Address) -> None:
        loop = asyncio.get_running_loop()
        self.address = address
        self._ready: asyncio.Future[Client] = loop.create_future()
        self._retired = asyncio.Event()
        self._borrowers = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self.task = loop.create_task(self._live(), name=f"mcp {address.server_id}")

    @property
    def ended(self) -> bool:
        return self.task.done() or self._retired.is_set()

    def __enter__(self) -> None:
        self._borrowers += 1
        self._idle.clear()

    def __exit__(self, *_: object) -> None:
        self._borrowers -= 1
        if not self._borrowers:
            self._idle.set()

    def retire(self) -> None:
        """Close once nobody uses it any more."""
        self._retired.set()

    async def client(self) -> Client:
        """Give the client, when the handshake is done.

        Raises:
            NotConnected: it failed.
        """
        return await asyncio.shield(self._ready)

    async def _live(self) -> None:
        """Hold the client open until retired or broken. Never raises but our cancellation."""
        try:
            async with self._http() as http:
                transport = streamable_http_client(self.address.url, http_client=http)
                async with Client(transport, cache=None) as client:
                    self._ready.set_result(client)
                    await self._retired.wait()
                    await self._idle.wait()
        except Exception as error:  # noqa: BLE001 - the SDK's foreign code; borrowers are told
            self._fail(error)
        except asyncio.CancelledError as error:
            self._fail(error)
            raise

    def _http(self) -> httpx2.AsyncClient:
        token = self.address.token
        return httpx2.AsyncClient(
            headers={"authorization": f"Bearer {token}"} if token else {},
            transport=ContainedTransport(),
            timeout=httpx2.Timeout(None),
            trust_env=False,
        )

    def _fail(self, error: BaseException) -> None:
        while isinstance(error, BaseExceptionGroup) and error.exceptions:
            error = error.exceptions[0]
        if not self._ready.done():
            failure = NotConnected(f"{type(error).__name__}: {error}")
            failure.__cause__ = error
            self._ready.set_exception(failure)
            self._ready.exception()  # read once here, so that nobody needs to be waiting
