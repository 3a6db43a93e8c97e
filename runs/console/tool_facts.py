"""What is known of a tool beside its name, for whoever decides about a call of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from string import Formatter

from policy.core.json import Json, JsonObject
from tools import registry
from tools.models import RemoteTool


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolFacts:
    """A tool as a reviewer needs it. Of a tool that is gone nothing is known."""

    name: str
    risk: str = "unknown"
    effect: str = "unknown"
    description: str = ""
    reversible: bool = False
    template: str = ""
    server: str = ""
    price: Decimal = Decimal(0)

    @property
    def needs_confirmation(self) -> bool:
        """Say whether approving takes a second deliberate step."""
        return self.risk in {"high", "critical", "unknown"}

    def sentence(self, arguments: Json) -> str:
        """Fill the tool's own summary with the arguments; empty where that cannot be done."""
        if not self.template or not isinstance(arguments, dict):
            return ""
        return _filled(self.template, arguments)


def facts_of(names: Iterable[str]) -> Mapping[str, ToolFacts]:
    """Look tools up by name, in code first, then on the tenant's servers; one query."""
    wanted = set(names)
    found = {name: ToolFacts(name=name) for name in wanted}
    for row in RemoteTool.objects.select_related("server").filter(name__in=wanted):
        found[row.name] = ToolFacts(
            name=row.name,
            risk=row.risk,
            effect=row.effect,
            description=row.description,
            reversible=row.reversible is True,
            server=row.server.name,
            price=row.price,
        )
    for name in wanted:
        if (spec := registry.local().get(name)) is not None:
            found[name] = ToolFacts(
                name=name,
                risk=spec.risk.value,
                effect=spec.effect.value,
                description=spec.description,
                reversible=spec.reversible is True,
                template=spec.summary,
                price=spec.price,
            )
    return found


def _filled(template: str, arguments: JsonObject) -> str:
    """Replace {name} by the argument, and nothing else: no attributes, no formats."""
    parts = []
    try:
        for text, field, _, _ in Formatter().parse(template):
            parts.append(text)
            if field is not None:
                parts.append(str(arguments[field]))
    except (KeyError, ValueError):
        return ""
    return "".join(parts)[:300]
