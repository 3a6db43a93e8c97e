"""The outside as the simulation plays it: tools that keep books of their own, and a model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from gateway.core.messages import ModelRequest
from gateway.core.pricing import Price
from gateway.core.route import Quote, Route
from policy.core.json import Json, digest
from policy.core.money import Amounts
from policy.core.outcomes import Done, ErrorClass, Failed, Outcome, Usage
from policy.core.rules.decide import Decision, EffectClass, Policy, Rule
from tools.core.finding import Found, Happened, NotHappened
from tools.core.spec import ToolCall, ToolSpec

CLASSES: Final = {
    "look": EffectClass.READ,
    "note": EffectClass.IDEMPOTENT,
    "pay": EffectClass.ONCE,
    "wire": EffectClass.IDEMPOTENT,
    "send": EffectClass.ONCE,
    "transfer": EffectClass.ONCE,
}
GUARDED: Final = frozenset({"wire", "send"})
PRICES: Final = {"note": Decimal("0.1"), "transfer": Decimal("0.01"), "send": Decimal("0.001")}
SPECS: Final = {
    name: ToolSpec(
        name=name,
        version="1",
        description=name,
        input_schema={"type": "object"},
        effect=effect,
        timeout=30.0 if name == "transfer" else 10_000.0,
        reconcile="books" if name == "transfer" else "",
        price=PRICES.get(name, Decimal(0)),
    )
    for name, effect in CLASSES.items()
}
POLICY: Final = Policy(
    version="memory",
    rules=(
        *(
            Rule(name=f"ask to {name}", decision=Decision.REQUIRE_APPROVAL, tools=name, priority=1)
            for name in sorted(GUARDED)
        ),
        Rule(name="go", decision=Decision.ALLOW),
    ),
)
_PRICE: Final = Price(version="1", input_per_million=Decimal(0), output_per_million=Decimal(0))
_ROUTE: Final = Route(
    name="model",
    provider="simulated",
    model_id="model",
    base_url="",
    price=_PRICE,
    timeout=10_000.0,
    max_tokens=100,
)
QUOTE: Final = Quote(
    route=_ROUTE,
    input_tokens=50,
    output_tokens=50,
    amounts=Amounts(cost=Decimal(1), tokens=100, model_calls=1),
)
_USED: Final = Usage(input_tokens=10, output_tokens=5, cost=Decimal("0.4"), price_version="1")
MOST_FAILURES: Final = 2
"""How often one key may fail, so that retries always come to an end."""


@dataclass(slots=True)
class Books:
    """What happened outside. A thing is named by its run, its tool and its item."""

    happened: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    by_key: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)

    def apply(self, key: str, call: ToolCall) -> None:
        """Do what a call asks for: an idempotent tool does it once for each key."""
        effect = CLASSES[call.spec.name]
        if effect is EffectClass.READ or (effect is EffectClass.IDEMPOTENT and self.by_key[key]):
            return
        self.by_key[key] += 1
        self.happened[thing(call.run_id, call.spec.name, call.arguments)] += 1


def found(books: Books, call: ToolCall) -> Found:
    """Say what a reconcile hook finds in the books."""
    if books.by_key[call.key]:
        return Happened(result(call.spec.name, call.arguments))
    return NotHappened()


def thing(run_id: str, tool: str, arguments: Any) -> tuple[str, str, str]:
    """Name what a call would bring about, whatever its key."""
    return run_id, tool, str(arguments["item"])


def call_digest(call: ToolCall) -> str:
    """Name a call as a permit and an approval name it."""
    return digest(call.spec.name, call.spec.version, dict(call.arguments))


def result(tool: str, arguments: Any) -> Json:
    """Give a tool's result; it depends on the question alone."""
    return {"did": tool, "item": arguments["item"]}


def answer(tool: str, arguments: Any) -> Outcome:
    """Answer a call."""
    return Done(value=result(tool, arguments))


def said(request: ModelRequest) -> Outcome:
    """Give the model's answer; it depends on the question alone."""
    heard = request.messages[-1]["content"]
    return Done(value={"content": f"yes to {heard}", "tool_calls": []}, usage=_USED)


def failed(error_class: ErrorClass, *, in_doubt: bool) -> Failed:
    """Fail as the outside fails."""
    return Failed(error_class=error_class, detail="the outside failed", in_doubt=in_doubt)


def specs(granted: Sequence[str]) -> list[ToolSpec]:
    """List what is there of what is granted."""
    return [SPECS[name] for name in sorted(SPECS) if "*" in granted or name in granted]
