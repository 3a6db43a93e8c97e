"""Group commits as the simulation plays them: the engine's own committer over simulated threads.

A worker that waits for another one's commit is woken by it, or loses patience. Whoever leads may
be killed or stopped at any statement; a group may be refused, so that each of its members tries
its own part alone, or lose its answer, so that none of them knows what became of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from runs.committing import PATIENCE, Committer
from runs.errors import LeaseLost, StoreAway

if TYPE_CHECKING:
    from runs.testing.simulation.bugs import Bug
    from runs.testing.simulation.ground import Ground

T = TypeVar("T")
ROWS: Final = ("runs", "approvals", "budgets", "joins")


class GroupRefused(Exception):  # noqa: N818
    """The database rolled a group back because of one of its members."""


@dataclass(frozen=True, slots=True)
class PlayedPart:
    """One statement of a group; its key is its run's."""

    key: tuple[str, str]
    call: Callable[[], Any]


class Called:
    """By what a worker waits: for its answer, or to be the next to lead."""

    def __init__(self, ground: Ground) -> None:
        self._ground, self._worker, self._is_called = ground, ground.working, False

    def acquire(self, *, timeout: float) -> bool:
        """Wait to be called; False where patience was lost."""
        if not self._is_called and not self._ground.strikes("patience_lost", 0.05):
            self._worker.wait(timeout)
        return self._is_called

    def release(self) -> None:
        """Call who waits, unless it is dead."""
        self._is_called = True
        self._worker.wake()


class Groups:
    """The committer of a process whose threads are the workers of a schedule."""

    def __init__(self, ground: Ground, bug: Bug) -> None:
        self._ground, self._bug = ground, bug
        self._committer: Committer[PlayedPart] = Committer(
            self._alone, self._together, patience=PATIENCE, signal=lambda: Called(ground)
        )

    def commit(self, key: tuple[str, str], call: Callable[[], T]) -> T:
        """Carry a statement out, perhaps with others."""
        answer: Any = self._committer.commit(PlayedPart(key, call))
        if isinstance(answer, LeaseLost):
            raise answer
        given: T = answer
        return given

    def _alone(self, part: PlayedPart) -> Any:
        return reach(self._ground, part.call)

    def _together(self, parts: Sequence[PlayedPart]) -> Sequence[Any]:
        self._ground.tell(f"{self._ground.working.name}: leads {len(parts)} parts")
        return reach(self._ground, lambda: self._answers(parts))

    def _answers(self, parts: Sequence[PlayedPart]) -> Sequence[Any]:
        if not self._ground.strikes("group_refused", 0.1):
            return [self._looked_at(part) for part in parts]
        if self._bug.keeps_answers:
            return self._undone(parts)
        if self._bug.undoes_nothing:
            for part in parts:
                _answer(part)
        self._ground.tell("the group is refused")
        raise GroupRefused

    def _looked_at(self, part: PlayedPart) -> Any:
        """Carry a part out and judge it by what was so then: a later part may end its parent."""
        answer = _answer(part)
        self._ground.look()
        return answer

    def _undone(self, parts: Sequence[PlayedPart]) -> Sequence[Any]:
        """Roll back what was done, and give the answers all the same."""
        store = self._ground.store
        before = deepcopy({name: getattr(store, name) for name in ROWS})
        left = set(store.outbox)
        answers = [_answer(part) for part in parts]
        for name, rows in before.items():
            setattr(store, name, rows)
        store.forget(store.outbox.keys() - left)
        return answers


def _answer(part: PlayedPart) -> Any:
    """Carry one part of a group out: a lost lease drops this part only."""
    try:
        return part.call()
    except LeaseLost as lost:
        return lost


def reach(ground: Ground, call: Callable[[], T]) -> T:
    """Make a statement as the worker at work: the store may be away, or silent after it."""
    worker = ground.working
    worker.turn()
    if ground.strikes("store_away", 0.01):
        raise StoreAway("away")
    answer = call()
    ground.look()
    worker.turn()
    if ground.strikes("answer_lost", 0.01):
        raise StoreAway("the answer was lost")
    return answer
