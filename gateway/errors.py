"""What can go wrong in the gateway, as one family of exceptions."""

from __future__ import annotations


class GatewayError(Exception):
    """Base of every error that the gateway raises."""


class UnknownModel(GatewayError):  # noqa: N818
    """The tenant has no model of that name; nothing was called."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no model is named {name!r} in this tenant; add it under Models")
        self.name = name


class InvalidEndpoint(GatewayError):  # noqa: N818
    """An endpoint cannot be stored as it was given; nothing was changed."""


class InvalidModel(GatewayError):  # noqa: N818
    """A model cannot be stored as it was given; nothing was changed."""


class PriceUnknown(InvalidModel):
    """Nobody said what a model costs, and no published price is known."""

    def __init__(self, model_id: str) -> None:
        super().__init__(
            f"no published price is known for {model_id!r}: give input_per_million and "
            "output_per_million (0 for a model that costs nothing)"
        )
        self.model_id = model_id
