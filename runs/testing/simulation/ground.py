"""What all parts of one schedule share: chance, time, rows, what was seen, what was told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from random import Random
from typing import NamedTuple, Protocol

import greenlet

from runs.artifacts import Artifacts
from runs.core.lifecycle import FINAL, HELD_BACK, RunState, may_move
from runs.ports import Lease, Nudge
from runs.testing.artifacts import InMemory
from runs.testing.playing import Clock
from runs.testing.rows import RunRow
from runs.testing.simulation import bounds, kin
from runs.testing.simulation.outside import Books
from runs.testing.store import MemoryStore

LEASE = 60.0


class AtWork(Protocol):
    """What a schedule's parts know of the worker whose turn it is."""

    name: str

    def turn(self) -> None:
        """Give the turn away; come back, or not."""
        ...

    def wait(self, seconds: float | None) -> None:
        """Wait on the simulated clock."""
        ...

    def wake(self) -> None:
        """Wait no longer."""
        ...


class Held(NamedTuple):
    """Who holds a lease that has not run out, if anybody does, and its token."""

    worker: str | None
    token: int


@dataclass(slots=True)
class Seen:
    """What was seen of one run after the last commit."""

    state: RunState
    token: int
    in_line: bool = False
    clock: bounds.Clock = field(default_factory=bounds.Clock)


@dataclass(slots=True, kw_only=True)
class Ground:
    """One schedule's ground. `faulty` ends when the quiet phase begins."""

    chance: Random
    clock: Clock
    store: MemoryStore
    hub: greenlet.greenlet = field(default_factory=greenlet.getcurrent)
    books: Books = field(default_factory=Books)
    artifacts: Artifacts = field(default_factory=lambda: Artifacts(InMemory().itself))
    faulty: bool = True
    fired: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    touched: set[str] = field(default_factory=set)
    working: AtWork = field(init=False)
    sent: set[int | None] = field(default_factory=set)
    deaths: Counter[str] = field(default_factory=Counter)
    jumped: timedelta = field(default_factory=timedelta)
    tell: Callable[[str], None] = lambda _: None
    _seen: dict[str, Seen] = field(default_factory=dict)
    _unsent: set[int] = field(default_factory=set)
    _ids: count[int] = field(default_factory=lambda: count(1))

    def strikes(self, kind: str, share: float) -> bool:
        """Say whether a fault of this kind happens here, and count it."""
        if not self.faulty or self.chance.random() >= share:
            return False
        self.fired[kind] += 1
        self.tell(f"fault: {kind}")
        return True

    def jump(self, length: timedelta) -> None:
        """Let the clock on the wall jump; what ticks evenly does not."""
        self.clock.now += length
        self.jumped += length

    def ticks(self) -> datetime:
        """Give the time by which processes measure how long something takes."""
        return self.clock.now - self.jumped

    def mint(self) -> str:
        """Make an id."""
        return f"id-{next(self._ids)}-"

    def wrong(self, what: str) -> None:
        """Note a broken promise."""
        self.tell(f"VIOLATION {what}")
        self.violations.append(what)

    def look(self) -> None:
        """Look at everything a commit may have changed: money, moves, tokens, joins, messages."""
        self._look_at_money()
        self.look_at_outbox()
        for run in self.store.runs.values():
            self._look_at(run)
        kin.look(self)

    def look_at_outbox(self) -> None:
        """Look whether a message left the outbox in another way than by being sent."""
        rows = self.store.outbox.keys()
        for number in self._unsent - rows - self.sent:
            self.wrong(f"G3 message {number}: gone from the outbox, and was never sent")
        self._unsent = rows - self.sent

    def touch(self, run: RunRow) -> None:
        """Note that people changed how a run, and its family, ends."""
        self.touched.add(kin.root(run))

    def is_touched(self, run: RunRow) -> bool:
        """Say whether people changed how a run ends."""
        return kin.root(run) in self.touched

    def _look_at_money(self) -> None:
        for name, balance in self.store.budgets.items():
            for unit in ("cost", "tokens", "model_calls", "tool_calls"):
                limit = getattr(balance.limits, unit)
                taken = getattr(balance.spent, unit) + getattr(balance.reserved, unit)
                if limit is not None and taken > limit:
                    self.wrong(f"G5 {name}: {taken} {unit} of {limit}")

    def _look_at(self, run: RunRow) -> None:
        seen = self._seen.setdefault(run.id, Seen(RunState.QUEUED, 0))
        if run.state is not seen.state:
            self.tell(f"{run.id}: {seen.state} -> {run.state} {run.reason}")
            if seen.state in FINAL or not _may_have_moved(seen.state, run.state):
                self.wrong(f"G9 {run.id}: {seen.state} -> {run.state}")
            seen.state = run.state
            kin.moved(self, run)
            bounds.moved(self, run)
        bounds.look(self, run, seen.clock)
        self._look_at_line(run, seen)
        if run.token < seen.token:
            self.wrong(f"G4 {run.id}: token fell from {seen.token} to {run.token}")
        seen.token = run.token
        open_rows = sum(
            row.state != "settled" for (step, _), row in run.tasks.items() if step == run.super_step
        )
        if run.open_tasks and run.open_tasks != open_rows:
            self.wrong(f"G4 {run.id}: {run.open_tasks} tasks open, {open_rows} unsettled")

    def _look_at_line(self, run: RunRow, seen: Seen) -> None:
        """Nobody works on a run that stands in line, and only what is queued stands there."""
        in_line = run.queue_at is not None
        if in_line and run.state is not RunState.QUEUED:
            self.wrong(f"G11 {run.id}: in line while {run.state}")
        if seen.in_line and run.state is RunState.RUNNING and not self.store.called_off(run):
            self.wrong(f"G11 {run.id}: begun before it was admitted")
        seen.in_line = in_line

    def token(self, lease: Lease) -> int:
        """Give the newest token for what a lease is for."""
        run = self.store.runs[lease.run_id]
        row = run.tasks.get((lease.super_step, lease.task)) if lease.task else None
        return run.token if row is None else row.token

    def held(self, nudge: Nudge) -> Held:
        """Say who holds a run or task now, and under which token."""
        run = self.store.runs[nudge.run_id]
        row = run.tasks.get((run.super_step, nudge.task)) if nudge.task else run
        if row is None:
            return Held(None, 0)
        is_over = row.lease_until is None or row.lease_until <= self.clock.now
        return Held(None if is_over else row.worker, row.token)

    def won(self, lease: Lease, before: Held) -> None:
        """Check that what was claimed was nobody else's, and is held under a new token."""
        what = f"G4 {lease.run_id}/{lease.task}: {lease.worker} claimed again"
        if before.worker not in {None, lease.worker}:
            self.wrong(f"{what} what {before.worker} holds")
        if lease.token <= before.token:
            self.wrong(f"{what} under {lease.token}, the last was {before.token}")

    def wrote(self, lease: Lease, newest: int) -> None:
        """Check that whoever wrote held the newest token."""
        if lease.token != newest:
            self.wrong(f"G4 {lease.run_id}: a write under {lease.token}, newest is {newest}")


def _may_have_moved(old: RunState, new: RunState) -> bool:
    """Say whether one commit may do this: a claim queues a run that its family calls upon first."""
    is_called = old in HELD_BACK and new in {RunState.RUNNING, RunState.INTERRUPTED}
    return may_move(old, new) or (is_called and may_move(old, RunState.QUEUED))
