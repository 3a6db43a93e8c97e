"""A storage of artifacts in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from io import BytesIO
from typing import Any


@dataclass(slots=True)
class InMemory:
    """What is needed of a storage, over a dictionary."""

    stored: dict[str, bytes] = field(default_factory=dict)

    def itself(self) -> InMemory:
        """Give the storage, where somebody wants to be given it later."""
        return self

    def save(self, name: str, content: Any) -> str:
        """Store under a name."""
        self.stored[name] = content.read()
        return name

    def open(self, name: str) -> BytesIO:
        """Open for reading."""
        if name not in self.stored:
            raise FileNotFoundError(name)
        return BytesIO(self.stored[name])

    def delete(self, name: str) -> None:
        """Remove it."""
        del self.stored[name]
