"""Admission in memory: what `runs/sql/9_admission.sql` does, where there are so many seats."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from runs.core.admission import HEAD_START, Line, Turn, has_room, turns
from runs.core.lifecycle import RunState
from runs.ports import Nudge
from runs.testing import clocks
from runs.testing.rows import RunRow

if TYPE_CHECKING:
    from runs.testing.store import MemoryStore

BEGUN = timedelta(days=200 * 365)
CHILD = timedelta(days=100 * 365)


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What a tenant may have of the seats."""

    weight: int = 1
    most: int | None = None


@dataclass(slots=True, kw_only=True)
class Hall:
    """How many seats there are (None: enough for all), and who had which of them."""

    seats: int | None = None
    shares: dict[str, Share] = field(default_factory=dict)
    turns: dict[str, Turn] = field(default_factory=dict)


def is_active(run: RunRow) -> bool:
    """Say whether a run holds a seat."""
    return run.state in {RunState.QUEUED, RunState.RUNNING} and run.queue_at is None


def is_admitted(store: MemoryStore, run: RunRow) -> bool:
    """Say whether a run that is queued may be claimed; one that is called off only ends."""
    if run.state is not RunState.QUEUED:
        return False
    return run.queue_at is None or (bool(run.join_id) and store.called_off(run))


def free_seats(store: MemoryStore) -> int:
    """Count the seats that neither a run nor a task that nobody has taken holds."""
    pending = sum(
        row.state == "pending" for run in store.runs.values() for row in run.tasks.values()
    )
    held = sum(is_active(run) for run in store.runs.values())
    return (store.hall.seats or 0) - held - pending


def _line(store: MemoryStore, tenant: str, waiting: int) -> Line:
    share = store.hall.shares.get(tenant, Share())
    turn = store.hall.turns.get(tenant)
    return Line(
        tenant=tenant,
        waiting=waiting,
        active=sum(is_active(run) for run in store.runs.values() if run.tenant_id == tenant),
        weight=share.weight,
        most=share.most,
        done=0.0 if turn is None else turn.done,
    )


def enter(store: MemoryStore, tenant: str) -> bool:
    """Say whether one run may begin at once: there is room, and nobody stands in line."""
    if store.hall.seats is None:
        return True
    if any(run.queue_at is not None for run in store.runs.values()):
        return False
    line = _line(store, tenant, 1)
    return has_room(line, free_seats(store), line.weight)


def line_up(store: MemoryStore, run: RunRow) -> None:
    """Let a run that is queued hold a seat, or stand in line."""
    run.queue_at = None
    state, run.state = run.state, RunState.WAITING  # it holds nothing while it asks
    may = enter(store, run.tenant_id)
    run.state = state
    if may:
        return
    early = BEGUN if run.token else CHILD if run.ancestors else HEAD_START[run.priority]
    run.queue_at = store.clock() - early


def requeue(store: MemoryStore, run: RunRow) -> None:
    """Let a run that was queued again go on at once, or as the first of its line."""
    clocks.start(store, run)
    line_up(store, run)
    if run.join_id and store.called_off(run):
        run.queue_at = None
    if run.queue_at is None:
        store.outbox.leave(run)


def admit(store: MemoryStore) -> list[Nudge]:
    """Admit who may begin, and leave their messages."""
    with store.lock:
        lines: dict[str, list[RunRow]] = {}
        for run in store.runs.values():
            if run.queue_at is not None:
                lines.setdefault(run.tenant_id, []).append(run)
        for line in lines.values():
            line.sort(key=lambda run: (run.queue_at, run.id))
        begun = max((turn.begun for turn in store.hall.turns.values()), default=0.0)
        standing = [_line(store, tenant, len(line)) for tenant, line in lines.items()]
        given = turns(standing, free=free_seats(store), now=begun)
        return [_admitted(store, turn, lines[turn.tenant].pop(0)) for turn in given]


def _admitted(store: MemoryStore, turn: Turn, run: RunRow) -> Nudge:
    store.hall.turns[turn.tenant] = turn
    run.queue_at = None
    return store.outbox.leave(run)
