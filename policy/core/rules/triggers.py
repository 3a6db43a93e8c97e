"""What holds a call for a person although a rule allows it. Declared on the rule, measured here.

    irreversible          it acts, and nobody declared that it can be undone
    confidence            how sure the model says it is, calibrated, is below a bound
    out_of_distribution   unlike what this agent did with this tool before
    money, people         it moves or reaches more than this
    taint                 an argument comes from what a stranger may have written
    budget                this share of some budget above the run is used up

A trigger that was declared but cannot be measured fires: it fails closed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from policy.core.call import CallRequest
from policy.core.json import Json, JsonObject
from policy.core.provenance import Provenance


@dataclass(frozen=True, slots=True, kw_only=True)
class Triggers:
    """Bounds beyond which a call is held; None and False hold nothing.

    `out_of_distribution` of 0 takes the bound that was calibrated.
    """

    irreversible: bool = False
    confidence: float | None = None
    out_of_distribution: float | None = None
    money: float | None = None
    people: int | None = None
    taint: bool = False
    budget: float | None = None

    def __bool__(self) -> bool:
        """Say whether any is declared."""
        return self != NONE


NONE: Final = Triggers()


@dataclass(frozen=True, slots=True)
class Fired:
    """One trigger that holds a call, and what was measured."""

    name: str
    detail: str

    def to_json(self) -> JsonObject:
        """Give it as the approval keeps it."""
        return {"name": self.name, "detail": self.detail}


def measured(measures: Mapping[str, str], arguments: JsonObject) -> dict[str, Json]:
    """Measure a call by what its tool declares: the names of arguments that say how much.

    What was declared and is not there, or is no number, is measured as None.
    """
    found: dict[str, Json] = {}
    if name := measures.get("money"):
        found["money"] = _number(arguments.get(name))
    if name := measures.get("people"):
        found["people"] = _count(arguments.get(name))
    if name := measures.get("confidence"):
        said = _number(arguments.get(name))
        found["said_confidence"] = said if said is not None and 0 <= said <= 1 else None
    return found


def _number(value: Json) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return float(number) if number.is_finite() else None


def _count(value: Json) -> int | None:
    if isinstance(value, list | tuple):
        return len(value)
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, str):
        return len([part for part in value.replace(";", ",").split(",") if part.strip()])
    return None


def fired(triggers: Triggers, request: CallRequest) -> tuple[Fired, ...]:
    """Say which triggers hold a call, in the order of their declaration."""
    return tuple(_fired(triggers, request)) if triggers else ()


def _fired(triggers: Triggers, request: CallRequest) -> Iterator[Fired]:
    signals = request.signals
    if triggers.irreversible and request.acts and request.reversible is not True:
        yield Fired("irreversible", "nobody declared that it can be undone")
    if triggers.confidence is not None:
        yield from _unsure(triggers.confidence, signals)
    if triggers.out_of_distribution is not None:
        yield from _unusual(triggers.out_of_distribution, signals)
    for name in ("money", "people"):
        bound = getattr(triggers, name)
        if bound is not None and name in signals:
            yield from _beyond(name, bound, signals[name])
    if triggers.taint:
        yield from _tainted(request.provenance)
    if triggers.budget is not None:
        yield from _spent(triggers.budget, signals.get("budget_used"))


def _unsure(bound: float, signals: Mapping[str, Any]) -> Iterator[Fired]:
    if "said_confidence" not in signals:
        return
    sure = signals.get("confidence")
    if sure is None:
        yield Fired("confidence", "the model did not say how sure it is")
    elif sure < bound:
        yield Fired("confidence", f"right in {sure:.0%} of such calls; {bound:.0%} is asked for")


def _unusual(bound: float, signals: Mapping[str, Any]) -> Iterator[Fired]:
    score, limit = signals.get("unusual"), bound or signals.get("unusual_from")
    if score is None or limit is None:
        yield Fired("out_of_distribution", "too few calls of this tool by this agent are known")
    elif score >= limit:
        why = "; ".join(signals.get("unusual_because", ())) or f"score {score:.1f}"
        yield Fired("out_of_distribution", why)


def _spent(bound: float, used: float | None) -> Iterator[Fired]:
    if used is None or used >= bound:
        share = "nobody knows how much" if used is None else f"{used:.0%}"
        yield Fired("budget", f"{share} of a budget is used up")


def _beyond(name: str, bound: float, value: Any) -> Iterator[Fired]:
    if value is None:
        yield Fired(name, f"nobody can tell how much: the argument for {name} is not usable")
    elif value > bound:
        said = {"money": "it moves", "people": "it reaches"}[name]
        yield Fired(name, f"{said} {value:g}; more than {bound:g} needs a person")


def _tainted(known: Provenance) -> Iterator[Fired]:
    if not known.is_known:
        yield Fired("taint", "nobody looked where its arguments come from")
    elif who := sorted(leaf for leaf, origin in known.origins.items() if origin.tainted):
        yield Fired("taint", f"from what a stranger may have written: {', '.join(who)}")


def triggers_to_json(triggers: Triggers) -> JsonObject:
    """Write down what is declared."""
    return {
        f.name: value
        for f in fields(triggers)
        if (value := getattr(triggers, f.name)) is not None and value is not False
    }


def triggers_from_json(raw: Mapping[str, Any] | None) -> Triggers:
    """Read triggers back."""
    return Triggers(**raw) if raw else NONE
