"""What can go wrong in tools, as one family of exceptions."""

from __future__ import annotations


class ToolsError(Exception):
    """Base of every error that the tools app raises."""


class UnknownTool(ToolsError):  # noqa: N818
    """Neither code nor the tenant's servers have a tool of that name; nothing was called."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no tool named {name!r}")
        self.name = name


class InvalidTool(ToolsError):  # noqa: N818
    """A tool's declaration cannot be used; it was not registered."""


class PermitMismatch(ToolsError):  # noqa: N818
    """A call came without the permit made for exactly it; nothing was called."""


class ServerUnreachable(ToolsError):  # noqa: N818
    """A tool server did not answer as one; nothing was registered."""
