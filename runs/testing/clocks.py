"""The clocks of a run in memory: when it goes on by itself, and how long it has."""

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


def stop(store: MemoryStore, run: RunRow) -> None:
    """Let a run's clock stand still, where a person must act before it goes on."""
    waits = run.state is RunState.INTERRUPTED or (
        run.state is RunState.PAUSED and run.due_at is None
    )
    now = store.clock()
    if run.deadline_stops and waits and run.deadline is not None and run.deadline > now:
        run.deadline_left, run.deadline = run.deadline - now, None


def start(store: MemoryStore, run: RunRow) -> None:
    """Let it go on with what was left, but with no more than a run above it has now."""
    if run.deadline_left is None:
        return
    ends = [ends_at(store, store.runs[name]) for name in run.ancestors]
    own = store.clock() + run.deadline_left
    run.deadline = min([own, *(end for end in ends if end is not None)])
    run.deadline_left = None


def ends_at(store: MemoryStore, run: RunRow) -> datetime | None:
    """Give the deadline that a run would have if its clock went on now."""
    return run.deadline if run.deadline_left is None else store.clock() + run.deadline_left
