"""Research, as a graph: plan, look several things up at once, write it up."""

from . import agent, tools

__all__ = ["agent", "tools"]
