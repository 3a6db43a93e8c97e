"""Tools of remote servers, over MCP (streamable HTTP). The SDK is imported at the first call."""

import sys

from tools.mcp.addresses import Address, forget, known, remember
from tools.mcp.calls import call

__all__ = ["Address", "call", "close", "forget", "known", "remember", "warm_up"]


def warm_up() -> None:
    """Import the SDK now, in a worker's thread, instead of on the I/O loop at the first call."""
    import tools.mcp.connections  # noqa: F401, PLC0415 - heavy, where it is used


async def close() -> None:
    """Close every connection of the running loop; a later call opens new ones."""
    if "tools.mcp.connections" in sys.modules:
        from tools.mcp.connections import close_all  # noqa: PLC0415 - only if it was used

        await close_all()
