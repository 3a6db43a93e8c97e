"""Where the values of a call come from, and what its run had read by then.

    trusted      it stands in the user's request, the operator's prompt, what a trusted tool
                 gave or a person approved; or it is a harmless choice of the tool's schema
    tainted      anything else, once the run has read what a stranger may have written
    neither      what a model wrote before that

How it is found out is in `policy.provenance`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from policy.core.json import JsonObject


class Label(StrEnum):
    """What a source is."""

    USER = "user"
    OPERATOR = "operator"
    TRUSTED_TOOL = "trusted_tool"
    PERSON = "person"
    TOOL = "tool"
    CHILD = "child"
    SIGNAL = "signal"
    MEMORY = "memory"
    EARLIER = "earlier"
    MODEL = "model"
    SCHEMA = "schema"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where one argument leaf came from. `place` is the effect key of the step, if it has one."""

    label: Label
    trusted: bool = False
    tainted: bool = False
    name: str = ""
    place: str = ""
    how: str = ""

    def to_json(self) -> JsonObject:
        """Give it as the ledger keeps it."""
        told = {"label": self.label, "name": self.name, "place": self.place, "how": self.how}
        return {"trusted": self.trusted, "tainted": self.tainted} | {
            key: str(text) for key, text in told.items() if text
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """What is known of where a call came from: of each leaf, of its run, of the whole.

    Made of nothing, it says the worst: the run has read strangers' words, nothing is trusted.
    """

    origins: Mapping[str, Origin] = field(default_factory=dict)
    targets: frozenset[str] = frozenset()
    tainted: bool = True
    asked_for: bool = False
    repeated: bool = True
    is_known: bool = False

    @property
    def targets_trusted(self) -> bool:
        """Say whether every leaf that decides where or to whom is trusted."""
        return self.is_known and all(self.origins[leaf].trusted for leaf in self.targets)

    @property
    def arguments_trusted(self) -> bool:
        """Say whether every leaf is trusted, and at least one stands in a trusted source."""
        found = self.origins.values()
        told = any(origin.label is not Label.SCHEMA for origin in found)
        return self.is_known and told and all(origin.trusted for origin in found)

    @property
    def arguments_clean(self) -> bool:
        """Say whether no leaf is tainted."""
        return self.is_known and not any(origin.tainted for origin in self.origins.values())

    @property
    def given(self) -> list[str]:
        """Name the arguments that are given, and the parts of them: `items`, `items.id`."""
        return _names(self.origins)

    @property
    def untrusted(self) -> list[str]:
        """Name those that have a leaf which is not trusted."""
        return _names(leaf for leaf, origin in self.origins.items() if not origin.trusted)

    def trusts(self, names: Sequence[str]) -> bool:
        """Say whether one of the arguments is given, and whichever is given is trusted."""
        return bool(set(names) & set(self.given)) and not set(names) & set(self.untrusted)

    def distrusts(self, names: Sequence[str]) -> bool:
        """Say whether any part of one of the arguments is not trusted, or nobody knows."""
        return not self.is_known or bool(set(names) & set(self.untrusted))

    def facts(self) -> dict[str, Any]:
        """Give the names that conditions of rules may use."""
        return {
            "origins": {leaf: dict(origin.to_json()) for leaf, origin in self.origins.items()},
            "tainted": self.tainted,
            "targets_trusted": self.targets_trusted,
            "arguments_trusted": self.arguments_trusted,
            "arguments_clean": self.arguments_clean,
            "asked_for": self.asked_for,
            "repeated": self.repeated,
            "given": self.given,
            "untrusted": self.untrusted,
        }

    def to_json(self) -> JsonObject:
        """Give it as the ledger keeps it, beside the decision; nothing where nobody looked."""
        if not self.is_known:
            return {}
        return {
            "origins": {leaf: origin.to_json() for leaf, origin in self.origins.items()},
            "targets": sorted(self.targets),
            "tainted": self.tainted,
            "asked_for": self.asked_for,
            "repeated": self.repeated,
        }


def _names(pointers: Iterable[str]) -> list[str]:
    """Name the arguments that leaves belong to, and the parts on the way: `items`, `items.id`."""
    found: set[str] = set()
    for pointer in pointers:
        way = [part.removesuffix("#") for part in pointer.split("/")[1:] if not part.isdigit()]
        found |= {".".join(way[: size + 1]) for size in range(len(way))}
    return sorted(found)


UNKNOWN: Final = Provenance()
"""What is known where nobody looked: the worst."""


def from_json(raw: JsonObject | None) -> Provenance:
    """Read what the ledger keeps. What it does not say counts as the worst."""
    if not raw or not isinstance(raw.get("origins"), Mapping):
        return UNKNOWN
    origins = {
        leaf: Origin(**{**told, "label": Label(told.get("label", Label.MODEL))})
        for leaf, told in raw["origins"].items()
    }
    return Provenance(
        origins=origins,
        targets=frozenset(raw.get("targets", origins)) & origins.keys(),
        tainted=raw.get("tainted", True),
        asked_for=raw.get("asked_for", False),
        repeated=raw.get("repeated", True),
        is_known=True,
    )
