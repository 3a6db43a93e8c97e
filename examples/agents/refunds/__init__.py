"""Refunds, as a function: everything it asks for is durable, everything between is Python."""

from . import agent, tools

__all__ = ["agent", "tools"]
