"""One module per vendor's protocol; heavy SDKs are imported at the first question."""

from __future__ import annotations

from gateway.providers.base import Provider


def provider(name: str) -> Provider:
    """Give the adapter that speaks a protocol.

    Raises:
        KeyError: no adapter has that name.
    """
    match name:
        case "openai":
            from gateway.providers.openai import OpenAI  # noqa: PLC0415 - heavy

            return OpenAI()
        case "scripted":
            from gateway.providers.scripted import Scripted  # noqa: PLC0415 - demo and tests

            return Scripted()
        case _:
            raise KeyError(name)
