"""A TCP proxy that behaves badly when it is told to. It runs in a thread of its own.

client ──▶ proxy ──▶ server      refuse    nobody gets through, those who are in are cut
                                 freeze    connections stay open and nothing moves in them
                                 delay     everything takes longer
                                 swallow   PostgreSQL's answer to a commit is dropped
                                 vanish    the kernel neither takes nor confirms anything
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import socket
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final, Self, TypeVar

from agentops.servers import free_port
from agentops.storm.frames import Client, Server

LOOPBACK: Final = "127.0.0.1"
CHUNK: Final = 65536
SO_ATTACH_FILTER: Final = 26


class _Instruction(ctypes.Structure):
    """One of the kernel's packet filters: `ret #0` drops every packet."""

    _fields_ = (
        ("code", ctypes.c_uint16),
        ("if_true", ctypes.c_uint8),
        ("if_false", ctypes.c_uint8),
        ("value", ctypes.c_uint32),
    )


class _Filter(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint16), ("program", ctypes.POINTER(_Instruction)))


_DROP: Final = _Instruction(0x06, 0, 0, 0)
_NOTHING: Final = _Filter(1, ctypes.pointer(_DROP))
T = TypeVar("T")


@dataclass(eq=False, slots=True)
class Link:
    """One connection through the proxy."""

    down: asyncio.StreamWriter
    up: asyncio.StreamWriter
    client: Client = field(default_factory=Client)
    server: Server = field(default_factory=Server)
    moving: asyncio.Event = field(default_factory=asyncio.Event)
    swallowing: bool = False

    def thaw(self) -> None:
        """End it if it is frozen."""
        if not self.moving.is_set():
            self.cut()
            self.moving.set()

    def cut(self) -> None:
        """End both sides at once."""
        for side in (self.down, self.up):
            side.transport.abort()


class Proxy:
    """Forwards a port of ours to a server's. With `postgres` it reads along."""

    def __init__(self, host: str, port: int, *, postgres: bool = False) -> None:
        self.port, self._to, self._postgres = free_port(), (host, port), postgres
        self._links: set[Link] = set()
        self._refusing, self._delay, self._to_swallow = False, 0.0, 0
        self.swallowed = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._server: asyncio.Server | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = self._run(asyncio.start_server(self._serve, LOOPBACK, self.port))
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def refuse(self, *, yes: bool) -> None:
        """Let nobody through from now on, or everybody again."""
        self._refusing = yes
        if yes:
            self._each(Link.cut)

    def freeze(self, part: float) -> None:
        """Let nothing move any more in this part of the connections, which stay open."""
        self._run(self._freeze(part))

    def thaw(self) -> None:
        """Cut what was frozen or has vanished, as a network that is back does."""
        self._each(Link.thaw)

    def vanish(self) -> int:
        """Be gone for everybody who is in, without a word, as a host that lost its power.

        What they send is dropped unconfirmed; whoever comes now is served. Gives how many.
        """
        return self._run(self._vanish())

    def delay(self, seconds: float) -> None:
        """Hold every request back for so long."""
        self._delay = seconds

    def swallow(self, count: int) -> None:
        """Drop PostgreSQL's answers to the next so many commits, and cut their connections."""
        self._to_swallow = count

    def ports(self) -> list[int]:
        """Give the ports by which the server knows our connections."""
        return self._run(self._ports())

    def _each(self, do: Callable[[Link], None]) -> None:
        self._run(self._on_each(do))

    async def _on_each(self, do: Callable[[Link], None]) -> None:
        for link in list(self._links):
            do(link)

    async def _freeze(self, part: float) -> None:
        links = list(self._links)
        for link in links[: max(1, round(len(links) * part))]:
            link.moving.clear()

    async def _vanish(self) -> int:
        links = list(self._links)
        for link in links:
            link.moving.clear()
            link.down.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, SO_ATTACH_FILTER, bytes(_NOTHING)
            )
        return len(links)

    async def _ports(self) -> list[int]:
        names = [link.up.get_extra_info("sockname") for link in self._links]
        return [name[1] for name in names if name]

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        mine = asyncio.current_task()
        others = [task for task in asyncio.all_tasks() if task is not mine]
        for link in list(self._links):
            link.cut()
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=10)

    async def _serve(self, inside: asyncio.StreamReader, down: asyncio.StreamWriter) -> None:
        if self._refusing:
            down.transport.abort()
            return
        try:
            outside, up = await asyncio.open_connection(*self._to)
        except OSError:
            down.transport.abort()
            return
        link = Link(down, up)
        link.moving.set()
        self._links.add(link)
        ways = {
            asyncio.ensure_future(self._forward(inside, link)),
            asyncio.ensure_future(self._backward(outside, link)),
        }
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._links.discard(link)
            for way in ways:
                way.cancel()
            link.cut()

    async def _forward(self, source: asyncio.StreamReader, link: Link) -> None:
        with contextlib.suppress(OSError):
            while chunk := await source.read(CHUNK):
                await link.moving.wait()
                if self._delay:
                    await asyncio.sleep(self._delay)
                if self._postgres:
                    chunk = self._read_along(chunk, link)
                link.up.write(chunk)
                await link.up.drain()

    def _read_along(self, chunk: bytes, link: Link) -> bytes:
        """Decline encryption for the server, and look out for a commit."""
        refused, rest, commits = link.client.feed(chunk)
        if refused:
            link.down.write(b"N" * refused)
        if commits and self._to_swallow > 0:
            self._to_swallow -= 1
            link.swallowing = True
        return rest

    async def _backward(self, source: asyncio.StreamReader, link: Link) -> None:
        with contextlib.suppress(OSError):
            while chunk := await source.read(CHUNK):
                await link.moving.wait()
                is_idle = self._postgres and link.server.feed(chunk)
                if not link.swallowing:
                    link.down.write(chunk)
                    await link.down.drain()
                elif is_idle:
                    self.swallowed += 1
                    return
