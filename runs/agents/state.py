"""The channels of a run, as a task sees them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from policy.core.json import copied
from runs.core.channels import Log


class State(Mapping[str, Any]):
    """A task's private copy of its run's channels: changing what it gives changes nothing."""

    def __init__(self, channels: Mapping[str, Any], empty: Callable[[str], Any]) -> None:
        self._channels, self._empty = channels, empty

    def __getitem__(self, name: str) -> Any:
        value = self._channels.get(name)
        value = self._empty(name) if value is None else value
        return value if isinstance(value, Log) else copied(value)

    def __iter__(self) -> Any:
        return iter(self._channels)

    def __len__(self) -> int:
        return len(self._channels)
