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
    """A committer that holds what is `stuck` or `stuck too` until the test lets it go on."""

    def __init__(
        self,
        together: Callable[[Sequence[Part]], Sequence[Any]] | None = None,
        *,
        patience: float = LONG,
    ) -> None:
        self.alone: list[str] = []
        self.groups: list[list[str]] = []
        self._answers = together or (lambda parts: [f"{part.args[1]} together" for part in parts])
        self._is_at_it = {run: threading.Event() for run in ("stuck", "stuck too")}
        self._go_on = {run: threading.Event() for run in self._is_at_it}
        self.committer = Committer(self._alone, self._together, patience=patience)
        self._threads = ThreadPoolExecutor(8)

    def _alone(self, part: Part) -> str:
        run = part.args[1]
        self.alone.append(run)
        self._stand_still(run)
        if run == "bad":
            raise ValueError(run)
        return f"{run} alone"

    def _stand_still(self, run: str) -> None:
        if run in self._go_on:
            self._is_at_it[run].set()
            assert self._go_on[run].wait(LONG)

    def _together(self, parts: Sequence[Part]) -> Sequence[Any]:
        self.groups.append([part.args[1] for part in parts])
        for part in parts:
            self._stand_still(part.args[1])
        return self._answers(parts)

    def hold(self, run: str = "stuck") -> Future[Any]:
        """Have a commit under way that goes on only when the test says so."""
        held = self._threads.submit(self.committer.commit, a_part(run))
        assert self._is_at_it[run].wait(LONG)
        return held

    def lose_no_patience(self) -> None:
        """Let whoever waits from now on wait for ever."""
        self.committer._patience = LONG

    def ask(self, *runs: str) -> list[Future[Any]]:
        """Have parts wait behind it."""
        asked = [self._threads.submit(self.committer.commit, a_part(run)) for run in runs]
        assert eventually(lambda: self.committer.waiting == len(runs))
        return asked

    def let_go(self, run: str = "stuck") -> None:
        self._go_on[run].set()


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


class Rushed(Committer[Part]):
    """Whoever loses patience goes on when three have lost it."""

    rush = threading.Barrier(3)

    def _leads(self, mine: Any) -> bool:
        if (leads := super()._leads(mine)) and mine.part.args[1] != "stuck":
            self.rush.wait(LONG)
        return leads


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


def test_who_deposed_a_stuck_commit_is_followed_by_those_who_wait_for_it_as_one_group() -> None:
    scene = Scene(patience=0.01)
    stuck, too = scene.hold(), scene.hold("stuck too")
    scene.lose_no_patience()
    asked = scene.ask("c", "a", "b")

    scene.let_go("stuck too")

    assert too.result(LONG) == "stuck too alone"
    assert [one.result(LONG) for one in asked] == ["c together", "a together", "b together"]
    assert (scene.groups, stuck.done()) == ([["a", "b", "c"]], False)
    assert scene.committer.commit(a_part("d")) == "d alone"
    scene.let_go()
    assert stuck.result(LONG) == "stuck alone"


def test_a_stuck_commit_that_comes_back_calls_nobody_to_lead_beside_who_deposed_it() -> None:
    scene = Scene(patience=0.01)
    stuck, too = scene.hold(), scene.hold("stuck too")
    scene.lose_no_patience()
    asked = scene.ask("b", "a")

    scene.let_go()

    assert stuck.result(LONG) == "stuck alone"
    assert (scene.committer.waiting, scene.groups) == (2, [])
    scene.let_go("stuck too")
    assert [one.result(LONG) for one in asked] == ["b together", "a together"]
    assert (too.result(LONG), scene.groups) == ("stuck too alone", [["a", "b"]])


def test_who_was_taken_along_by_a_stuck_group_gets_its_answer_from_it() -> None:
    scene = Scene(patience=LONG)
    scene.hold()
    first = scene.ask("b", "stuck too", "a")
    scene.let_go()
    assert scene._is_at_it["stuck too"].wait(LONG)
    scene.committer._patience = 0.01

    other = scene.committer.commit(a_part("c"))
    scene.let_go("stuck too")

    answers = [one.result(LONG) for one in first]
    assert (other, answers) == ("c alone", ["b together", "stuck too together", "a together"])
    assert (scene.alone, scene.groups) == (["stuck", "c"], [["a", "b", "stuck too"]])


def test_of_those_who_wait_behind_a_stuck_commit_one_takes_the_others_along() -> None:
    scene = Scene()
    stuck = scene.hold()
    asked = scene.ask("b", "a")
    scene.committer._patience = 0.01

    impatient = scene.committer.commit(a_part("c"))

    assert impatient == "c together"
    assert [one.result(LONG) for one in asked] == ["b together", "a together"]
    assert (scene.groups, stuck.done()) == ([["a", "b", "c"]], False)
    scene.let_go()
    assert stuck.result(LONG) == "stuck alone"


def test_of_threads_without_any_patience_each_has_its_part_carried_out_once() -> None:
    carried_out: list[str] = []

    def carry_out(parts: Sequence[Part]) -> list[str]:
        runs = [part.args[1] for part in parts]
        carried_out.extend(runs)
        return runs

    committer = Committer[Part](lambda part: carry_out([part])[0], carry_out, patience=0)
    runs = [f"{n:04}" for n in range(2000)]

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda run: committer.commit(a_part(run)), runs))

    assert (answers, sorted(carried_out)) == (runs, runs)


def test_of_many_threads_everyone_gets_the_answer_to_its_own_part() -> None:
    committer = Committer[Part](
        lambda part: part.args[1], lambda parts: [part.args[1] for part in parts], patience=LONG
    )
    runs = [f"{n:04}" for n in range(2000)]

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda run: committer.commit(a_part(run)), runs))

    assert answers == runs
    assert committer.waiting == 0
