"""The clocks of a run in memory: when it goes on by itself."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from runs.core.lifecycle import RunState
from runs.testing.rows import RunRow

if TYPE_CHECKING:
    from runs.testing.store import MemoryStore


def due(store: MemoryStore, run: RunRow) -> datetime | None:
    """Give the next moment at which a run that nobody calls upon goes on by itself."""
    if run.state is not RunState.RUNNING:
        return store.clock() if store.is_claimable(run) else run.due_at
    ends = [row.lease_until for row in run.tasks.values() if row.state != "settled"]
    return min(end or store.clock() for end in ends or [run.lease_until])
