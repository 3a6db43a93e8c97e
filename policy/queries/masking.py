"""What is left of a content for those who may see that it is there, and not what it says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

from policy.core.json import Json

MASK: Final = "masked"


def kinds_only(found: Json) -> Json:
    """Keep of what was found in an answer how often each kind was, and not what exactly.

    `{"links: a.example": 1, "links: b.example": 2}` is `{"links": 3}`.
    """
    if not isinstance(found, Mapping):
        return masked(found)
    kinds: Counter[str] = Counter()
    for what, count in found.items():
        kinds[what.partition(":")[0]] += count if isinstance(count, int) else 1
    return dict(sorted(kinds.items()))


def masked(value: Json) -> Json:
    """Keep the names of an object's parts, and nothing of what they hold."""
    if isinstance(value, Mapping):
        return {name: masked(part) for name, part in value.items()}
    return None if value is None else MASK
