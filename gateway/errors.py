"""What can go wrong in the gateway, as one family of exceptions."""

from __future__ import annotations


class GatewayError(Exception):
    """Base of every error that the gateway raises."""


class UnknownModel(GatewayError):  # noqa: N818
    """The tenant has no model of that name; nothing was called."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no model is named {name!r} in this tenant; add it under Models")
        self.name = name
