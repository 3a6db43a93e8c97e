"""Commits of different runs, grouped: what is ready at the same moment shares a transaction.

    commit ──nobody is at it──▶ carry it out at once, with whatever else is waiting
       │
       └──somebody is────────▶ wait ──▶ taken along by whoever is next
                                   ──▶ or be next: the first who waits leads
                                   ──▶ or lose patience: depose who is stuck, and lead

Nothing waits for a group to fill: the group is what gathered while the one before was under
way, so a run that is alone is as fast as without. A group that fails is dissolved: each of its
members carries out its own part by itself, in its own thread, and only the bad one fails.

Whoever is taken is out of the line, so that nobody takes it again: each part is carried out by
one leader. Who was deposed finishes its own group and calls nobody to lead after it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Generic, Protocol, TypeVar

from runs.errors import StoreAway
from runs.statements import Statement

MOST: Final = 32
"""Parts of one group: more would hold many rows for long and gain nothing."""

PATIENCE: Final = 0.1
"""Seconds after which somebody who waits for one and the same leader leads in its place."""


class Kind(StrEnum):
    """What a part does; `runs_commit` knows them by these names.

    GO_ON is a save after which the run goes on at once and nothing else has happened.
    PLAIN_SAVE moves no money; SAVE may.
    """

    CLAIM = "claim"
    CLAIM_TASK = "claim_task"
    GO_ON = "go_on"
    PLAIN_SAVE = "plain_save"
    SAVE = "save"
    PUT_EFFECT = "put_effect"
    FINISH_TASK = "finish_task"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One statement about one run; its arguments begin with the tenant's and the run's ids."""

    kind: Kind
    statement: Statement
    args: tuple[Any, ...]

    @property
    def key(self) -> tuple[str, str]:
        """Order a group: its locks are taken in the order of the runs' ids."""
        return self.args[1], self.args[0]

    @property
    def moves_money(self) -> bool:
        """Say whether budgets may be written: a group's runs and budgets are then locked first.

        Without, it holds rows of its own runs and their joins only. Another group could want them
        in another order where two workers ask for the same two runs at one moment; then a lock is
        not had in time, and the group is dissolved.
        """
        return self.kind not in MOVE_NOTHING


MOVE_NOTHING: Final = frozenset({Kind.CLAIM, Kind.CLAIM_TASK, Kind.GO_ON, Kind.PLAIN_SAVE})


class Keyed(Protocol):
    """A part of a group: the groups' order is that of their keys."""

    @property
    def key(self) -> tuple[str, str]:
        """Name its run."""
        ...


class Signal(Protocol):
    """By what a thread waits to be called, once: a lock that is taken."""

    def acquire(self, *, timeout: float) -> bool:
        """Wait for so many seconds; False where nobody called."""
        ...

    def release(self) -> None:
        """Call who waits."""
        ...


P = TypeVar("P", bound=Keyed)


def _taken() -> Signal:
    lock = threading.Lock()
    lock.acquire()
    return lock


@dataclass(slots=True, eq=False)
class _Waiting(Generic[P]):
    """A part whose thread waits: for its answer, for its turn to lead, or to go alone."""

    part: P
    called: Signal
    leads: bool = False
    is_alone: bool = False
    answer: Any = None
    away: str | None = "the thread that was to commit it ended"


class Committer(Generic[P]):
    """Groups the parts that threads of this process want committed at the same moment.

    `alone` carries out one part. `together` carries out several in one transaction and gives
    their answers in the same order; it raises StoreAway where nobody knows what became of
    them, and anything else only where all of it was rolled back. A thread waits by a `signal`.
    """

    def __init__(
        self,
        alone: Callable[[P], Any],
        together: Callable[[Sequence[P]], Sequence[Any]],
        *,
        patience: float = PATIENCE,
        signal: Callable[[], Signal] = _taken,
    ) -> None:
        self._alone, self._together, self._patience = alone, together, patience
        self._signal = signal
        self._lock = threading.Lock()
        self._waiting: list[_Waiting[P]] = []
        self._leader: _Waiting[P] | None = None

    @property
    def waiting(self) -> int:
        """Count the parts that wait for a commit under way."""
        with self._lock:
            return len(self._waiting)

    def commit(self, part: P) -> Any:
        """Carry a part out, perhaps with others, and give its answer.

        Raises:
            StoreAway: the database went away; whether the part was carried out is unknown.
        """
        mine = _Waiting(part, self._signal())
        if self._leads(mine):
            others = self._taken_along()
            try:
                if others:
                    self._carry_out([mine, *others])
                else:
                    return self._alone(part)
            finally:
                self._hand_over(mine, others)
        if mine.is_alone:
            return self._alone(part)
        if mine.away is not None:
            raise StoreAway(mine.away)
        return mine.answer

    def _leads(self, mine: _Waiting[P]) -> bool:
        """Wait until another thread carried this part out (False), or it is our turn to lead."""
        with self._lock:
            leader, self._leader = self._leader, self._leader or mine
            if leader is None:
                return True
            self._waiting.append(mine)
        while not mine.called.acquire(timeout=self._patience):
            with self._lock:
                if mine in self._waiting and self._leader is leader:  # it is stuck
                    self._waiting.remove(mine)
                    self._leader = mine
                    return True
                leader = self._leader
        return mine.leads

    def _taken_along(self) -> list[_Waiting[P]]:
        with self._lock:
            others, self._waiting = self._waiting[: MOST - 1], self._waiting[MOST - 1 :]
        return others

    def _carry_out(self, group: list[_Waiting[P]]) -> None:
        group.sort(key=lambda one: one.part.key)
        try:
            answers = self._together([one.part for one in group])
        except StoreAway as away:
            for one in group:
                one.away = str(away)
        except Exception:  # noqa: BLE001 - whatever it was, each finds out about its own part
            for one in group:
                one.is_alone, one.away = True, None
        else:
            for one, answer in zip(group, answers, strict=True):
                one.answer, one.away = answer, None

    def _hand_over(self, mine: _Waiting[P], group: list[_Waiting[P]]) -> None:
        """Call the next leader, if this one still leads, and then those who were taken along."""
        with self._lock:
            if self._leader is mine:
                self._leader = self._waiting.pop(0) if self._waiting else None
                if self._leader is not None:
                    self._leader.leads = True
                    self._leader.called.release()
        for one in group:
            one.called.release()
