"""What a tool server says it offers. None of it is believed yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from policy.foreign import within
from tools.errors import ServerUnreachable
from tools.mcp.addresses import Address

if TYPE_CHECKING:
    import mcp_types as types

SECONDS: Final = 30.0
MOST_PAGES: Final = 50
MOST_TOOLS: Final = 1000


async def listed(address: Address) -> list[types.Tool]:
    """List a server's tools.

    Raises:
        ServerUnreachable: it is not there, refused us, or does not answer as a tool server.
    """
    try:
        return await within(SECONDS, _pages(address))
    except Exception as error:
        raise ServerUnreachable(f"{address.url} did not list its tools: {error}") from error


async def _pages(address: Address) -> list[types.Tool]:
    from tools.mcp.connections import borrowed  # noqa: PLC0415 - heavy, where it is used

    found: list[types.Tool] = []
    async with borrowed(address) as client:
        cursor: str | None = None
        for _ in range(MOST_PAGES):
            page = await client.list_tools(cursor=cursor)
            found += page.tools
            cursor = page.next_cursor
            if cursor is None or len(found) > MOST_TOOLS:
                break
    return found[:MOST_TOOLS]
