"""Grouped commits: who leads, who is taken along, and what a failure costs whom."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from runs.committing import Committer, Kind, Part
from runs.errors import StoreAway
from runs.statements import Statement
from tests.processes import eventually

LONG = 30.0
SAVE = Statement("runs_save", 2)


def a_part(run: str, kind: Kind = Kind.PLAIN_SAVE) -> Part:
    return Part(kind=kind, statement=SAVE, args=("tenant", run))


class Scene:
    """A committer whose first commit is held until the test lets it go on."""

    def __init__(
        self,
        together: Callable[[Sequence[Part]], Sequence[Any]] | None = None,
        *,
        patience: float = LONG,
    ) -> None:
        self.alone: list[str] = []
        self.groups: list[list[str]] = []
        self._answers = together or (lambda parts: [f"{part.args[1]} together" for part in parts])
        self._first_is_at_it, self._go_on = threading.Event(), threading.Event()
        self._arrived = threading.Semaphore(0)
        self.committer = Committer(self._alone, self._together, patience=patience)
        self._threads = ThreadPoolExecutor(8)

    def _alone(self, part: Part) -> str:
        run = part.args[1]
        self.alone.append(run)
        if run == "stuck":
            self._first_is_at_it.set()
            assert self._go_on.wait(LONG)
        if run == "bad":
            raise ValueError(run)
        return f"{run} alone"

    def _together(self, parts: Sequence[Part]) -> Sequence[Any]:
        self.groups.append([part.args[1] for part in parts])
        return self._answers(parts)

    def hold(self) -> Future[Any]:
        """Have a commit under way that goes on only when the test says so."""
        held = self._threads.submit(self.committer.commit, a_part("stuck"))
        assert self._first_is_at_it.wait(LONG)
        return held

    def ask(self, *runs: str) -> list[Future[Any]]:
        """Have parts wait behind it."""
        asked = [self._threads.submit(self.committer.commit, a_part(run)) for run in runs]
        assert eventually(lambda: self.committer.waiting == len(runs))
        return asked

    def let_go(self) -> None:
        self._go_on.set()


def test_what_is_alone_is_committed_at_once_by_itself() -> None:
    scene = Scene()

    answers = [scene.committer.commit(a_part(run)) for run in ("a", "b")]

    assert (answers, scene.groups) == (["a alone", "b alone"], [])


def test_what_gathers_during_a_commit_is_the_next_group_in_the_order_of_the_runs() -> None:
    scene = Scene()
    held = scene.hold()
    asked = scene.ask("c", "a", "b")

    scene.let_go()

    assert held.result(LONG) == "stuck alone"
    assert [one.result(LONG) for one in asked] == ["c together", "a together", "b together"]
    assert scene.groups == [["a", "b", "c"]]


def test_a_group_that_fails_is_tried_one_by_one_and_only_the_bad_part_fails() -> None:
    def refuse(_: Sequence[Part]) -> Sequence[Any]:
        raise ValueError("one of them is bad")

    scene = Scene(refuse)
    scene.hold()
    good, bad, also_good = scene.ask("a", "bad", "c")

    scene.let_go()

    assert (good.result(LONG), also_good.result(LONG)) == ("a alone", "c alone")
    with pytest.raises(ValueError, match="bad"):
        bad.result(LONG)


def test_a_database_that_goes_away_is_told_to_everybody_and_nothing_is_tried_again() -> None:
    def go_away(_: Sequence[Part]) -> Sequence[Any]:
        raise StoreAway("gone")

    scene = Scene(go_away)
    scene.hold()
    asked = scene.ask("a", "b")

    scene.let_go()

    for one in asked:
        with pytest.raises(StoreAway, match="gone"):
            one.result(LONG)
    assert scene.alone == ["stuck"]


def test_a_commit_that_is_stuck_does_not_hold_up_the_others() -> None:
    scene = Scene(patience=0.01)
    held = scene.hold()

    others = [scene.committer.commit(a_part(run)) for run in ("a", "b")]

    assert others == ["a alone", "b alone"]
    scene.let_go()
    assert held.result(LONG) == "stuck alone"


class Rushed(Committer):
    """Whoever loses patience goes on when three have lost it."""

    rush = threading.Barrier(3)

    def _taken_along(self, mine: Any) -> Any:
        if mine.part.args[1] != "stuck":
            self.rush.wait(LONG)
        return super()._taken_along(mine)


def test_of_several_who_lose_patience_at_once_each_is_carried_out_once() -> None:
    scene = Scene(patience=0.01)
    scene.committer = Rushed(scene._alone, scene._together, patience=0.01)
    held = scene.hold()

    asked = [scene._threads.submit(scene.committer.commit, a_part(run)) for run in ("a", "b", "c")]
    for one in asked:
        one.result(LONG)
    scene.let_go()
    held.result(LONG)

    carried_out = scene.alone + [run for group in scene.groups for run in group]
    assert sorted(carried_out) == ["a", "b", "c", "stuck"]


def test_of_many_threads_everyone_gets_the_answer_to_its_own_part() -> None:
    committer = Committer(
        lambda part: part.args[1], lambda parts: [part.args[1] for part in parts], patience=LONG
    )
    runs = [f"{n:04}" for n in range(2000)]

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda run: committer.commit(a_part(run)), runs))

    assert answers == runs
    assert committer.waiting == 0
