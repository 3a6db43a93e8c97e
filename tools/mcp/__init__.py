"""Tools of remote servers, over MCP (streamable HTTP). The SDK is imported at the first call."""

from tools.mcp.addresses import Address, forget, known, remember
from tools.mcp.calls import call

__all__ = ["Address", "call", "forget", "known", "remember"]
