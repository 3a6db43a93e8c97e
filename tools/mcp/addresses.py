"""Where tool servers are. Read from rows within a scope, used on the I/O loop, never stored."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Address:
    """A tool server's URL and the token it wants, which no repr shows."""

    server_id: str
    url: str
    token: str = field(default="", repr=False)


_known: dict[str, Address] = {}


def remember(address: Address) -> None:
    """Let this process call the server. A changed address counts from the next call on."""
    _known[address.server_id] = address


def known(server_id: str) -> Address | None:
    """Give the address of a server that this process has read of."""
    return _known.get(server_id)


def forget(server_id: str) -> None:
    """Stop this process from calling the server until it has read its address again."""
    _known.pop(server_id, None)
