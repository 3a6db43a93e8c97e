"""A storage of artifacts in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import BytesIO
from typing import Any, Final

BEGINNING: Final = datetime(2030, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class InMemory:
    """What is needed of a storage, over a dictionary."""

    stored: dict[str, bytes] = field(default_factory=dict)
    saved: dict[str, datetime] = field(default_factory=dict)
    clock: Callable[[], datetime] = lambda: BEGINNING

    def itself(self) -> InMemory:
        """Give the storage, where somebody wants to be given it later."""
        return self

    def save(self, name: str, content: Any) -> str:
        """Store under a name."""
        self.stored[name] = content.read()
        self.saved[name] = self.clock()
        return name

    def open(self, name: str) -> BytesIO:
        """Open for reading."""
        if name not in self.stored:
            raise FileNotFoundError(name)
        return BytesIO(self.stored[name])

    def delete(self, name: str) -> None:
        """Remove it."""
        del self.stored[name], self.saved[name]

    def listdir(self, path: str) -> tuple[list[str], list[str]]:
        """List folders and files, by the names that begin so."""
        inside = f"{path}/" if path else ""
        below = [name.removeprefix(inside) for name in self.stored if name.startswith(inside)]
        folders = {name.partition("/")[0] for name in below if "/" in name}
        return sorted(folders), sorted(name for name in below if "/" not in name)

    def exists(self, name: str) -> bool:
        """Say whether it is there."""
        return name in self.stored

    def get_modified_time(self, name: str) -> datetime:
        """Say when it was last saved."""
        if name not in self.saved:
            raise FileNotFoundError(name)
        return self.saved[name]
