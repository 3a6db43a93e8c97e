"""What can go wrong in tools, as one family of exceptions."""

from __future__ import annotations

from policy.core.outcomes import ErrorClass


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


class ToolError(ToolsError):
    """A tool's own, declared failure: it comes back to the model as data.

    `in_doubt` says that what was asked for may have happened all the same.
    """

    def __init__(
        self,
        detail: str,
        *,
        error_class: ErrorClass = ErrorClass.PERMANENT_DEPENDENCY,
        in_doubt: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail, self.error_class = detail, error_class
        self.in_doubt, self.retry_after = in_doubt, retry_after


class InvalidServer(ToolsError):  # noqa: N818
    """A tool server cannot be stored as it was given; nothing was changed."""
