"""Neutral messages: what a model is asked and what it answers, whoever the vendor.

Messages are plain JSON objects, because they live in a run's channels:

    {"role": "user", "content": "..."}
    {"role": "assistant", "content": "...", "tool_calls": [{"id", "name", "arguments"}]}
    {"role": "tool", "tool_call_id": "...", "name": "...", "content": "...", "is_error": false}
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NotRequired, TypedDict

from policy.core.json import Json, JsonObject


class ToolCallJson(TypedDict):
    """A tool call as a model asks for it. `arguments` is an object, or an unparsable string."""

    id: str
    name: str
    arguments: Any


class Message(TypedDict):
    """One turn of a conversation.

    `untrusted` says of a content that a stranger may have written it: it is marked so, and the
    word taken off, before a model is asked.
    """

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    tool_calls: NotRequired[list[ToolCallJson]]
    tool_call_id: NotRequired[str]
    name: NotRequired[str]
    is_error: NotRequired[bool]
    untrusted: NotRequired[bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolOffer:
    """A tool as a model is told of it."""

    name: str
    description: str
    parameters: JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRequest:
    """One question to a model. `model` is the tenant's own name for it.

    `max_tokens` bounds the answer, and with it what the call can cost.
    """

    model: str
    messages: tuple[Message, ...]
    system: str = ""
    tools: tuple[ToolOffer, ...] = ()
    max_tokens: int = 4096
    temperature: float | None = None

    def to_json(self) -> Json:
        """Give everything that decides the answer; its digest names the question."""
        return {
            "model": self.model,
            "system": self.system,
            "messages": list(self.messages),
            "tools": [
                {"name": t.name, "description": t.description, "parameters": t.parameters}
                for t in self.tools
            ],
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
        }
