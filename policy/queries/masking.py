"""What is left of a content for those who may see that it is there, and not what it says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from policy.core.json import Json

MASK: Final = "masked"


def masked(value: Json) -> Json:
    """Keep the names of an object's parts, and nothing of what they hold."""
    if isinstance(value, Mapping):
        return {name: masked(part) for name, part in value.items()}
    return None if value is None else MASK
