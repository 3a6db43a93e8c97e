"""Doubles for those who test their agents: a model that says what the test wants it to say.

with ScriptedModel([calls(("crm.read", {"id": 7})), "All done."]) as model:
    outcome = await complete(request, quote(request, model.route), key="k", timeout=5)
assert model.heard[0].messages[-1]["content"] == "Look at customer 7"
"""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from types import TracebackType
from typing import Final, Self

from gateway.core.messages import Message, ToolOffer
from gateway.core.pricing import Price
from gateway.core.route import Route
from gateway.providers.scripted import Line, Play, Script, calls, register, withdraw

__all__ = ["Heard", "Line", "ScriptedModel", "calls"]

FREE: Final = Price(version="test", input_per_million=Decimal(0), output_per_million=Decimal(0))

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Heard:
    """What the model was asked in one turn."""

    messages: tuple[Message, ...]
    tools: tuple[ToolOffer, ...]


@dataclass
class ScriptedModel:
    """A model that plays a script and remembers what it was asked.

    The script is a list of answers, one for each turn, or a function of the messages and
    the tools offered. Usable while the `with` block lasts, in this process.
    """

    script: Script
    name: str = "scripted"
    price: Price = FREE
    heard: list[Heard] = field(default_factory=list)
    model_id: str = field(default_factory=lambda: f"test-{next(_numbers)}")

    @property
    def route(self) -> Route:
        """Say where this model is, as `gateway.routes` would."""
        return Route(
            name=self.name,
            provider="scripted",
            model_id=self.model_id,
            base_url="",
            price=self.price,
            timeout=30,
            max_tokens=4096,
        )

    def __enter__(self) -> Self:
        register(self.model_id, self._play)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        withdraw(self.model_id)

    def _play(
        self, messages: Sequence[Message], tools: Sequence[ToolOffer]
    ) -> Line | Awaitable[Line]:
        self.heard.append(Heard(tuple(messages), tuple(tools)))
        if callable(self.script):
            play: Play = self.script
            return play(messages, tools)
        turn = sum(message["role"] == "assistant" for message in messages)
        if turn >= len(self.script):
            raise AssertionError(f"the script has {len(self.script)} lines; turn {turn + 1} came")
        return self.script[turn]
