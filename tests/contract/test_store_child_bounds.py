"""What both stores promise of bounds on the runs that a run and its family start."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from runs.core.effects import Place
from runs.ports import Claimed, Put, Spawned
from tests.contract.broods import (
    SECOND,
    a_brood,
    a_child,
    born,
    end,
)
from tests.contract.builds import (
    at_once,
    fanned_out,
)
from tests.contract.grounds import Ground, claim, claim_task


def test_one_child_too_many_is_refused_with_all_it_would_have_come_with(ground: Ground) -> None:
    claimed = claim(ground, ground.start("a"))
    born(ground, claimed, 2)
    wish, last = a_child(SECOND), a_child(replace(SECOND, ordinal=2))
    sizes = {"total": 4, "at_once": 3}

    over = ground.store.spawn(claimed.lease, wish, a_brood(claimed, 3, **sizes), [])
    both = ground.store.spawn(claimed.lease, wish, a_brood(claimed, 2, **sizes), [])
    room = ground.store.spawn(claimed.lease, last, a_brood(claimed, 1, **sizes), [])

    told = "a run of this agent"
    assert over.refused == f"2 children and 3 more: {told} starts 4 at most"
    assert both.refused == f"2 children at work and 2 more: {told} has 3 at once at most"
    assert (over.put, list(over.sent), room.put, room.refused) == (Put.OK, [], Put.OK, "")
    found = ground.effects(claimed.lease.run_id)
    assert [(row.state, row.error_class) for row in found.values()] == [
        ("done", ""), ("failed", "validation_error"), ("done", ""),
    ]  # fmt: skip


def test_a_child_that_ended_is_not_at_work_any_more_and_counts_in_all(ground: Ground) -> None:
    claimed = claim(ground, ground.start("a"))
    _, (one, _) = born(ground, claimed, 2)
    end(ground, one)
    bounds = {"total": 3, "at_once": 2}

    more = ground.store.spawn(claimed.lease, a_child(SECOND), a_brood(claimed, 1, **bounds), [])
    last = replace(SECOND, ordinal=2)
    over = ground.store.spawn(claimed.lease, a_child(last), a_brood(claimed, 1, **bounds), [])

    assert more.refused == ""
    assert over.refused == "3 children and 1 more: a run of this agent starts 3 at most"


def test_tasks_that_spawn_at_the_same_moment_are_counted_in_turn(
    ground: Ground,
) -> None:
    run_id = ground.start("a", "b", "c")
    tasks = [claim_task(ground, nudge) for nudge in fanned_out(ground, run_id)]

    def begets(task: Claimed) -> Spawned:
        wish = a_child(Place(0, task.lease.task, 0))
        return ground.store.spawn(task.lease, wish, a_brood(task, 2, total=5), [])

    spawned = at_once([partial(begets, task) for task in tasks])

    assert sorted(bool(one.refused) for one in spawned) == [False, False, True]


def test_a_family_is_bounded_over_all_its_generations_by_what_its_root_says(
    ground: Ground,
) -> None:
    root = claim(ground, ground.start("a"))
    _, (child, _) = born(ground, root, 2, family=4)
    parent = claim(ground, child, "w2")

    over = ground.store.spawn(parent.lease, a_child(), a_brood(parent, 3), [])
    more = ground.store.spawn(parent.lease, a_child(SECOND), a_brood(parent, 2), [])
    last = ground.store.spawn(root.lease, a_child(SECOND), a_brood(root, 1, family=9), [])

    told = "start fewer, or raise ChildLimits(family=...) of its agent"
    where = f"descend from run {root.lease.run_id}"
    assert over.refused == f"2 runs {where}, and 3 more: there may be 4; {told}"
    assert (more.put, more.refused) == (Put.OK, "")
    assert last.refused == f"4 runs {where}, and 1 more: there may be 4; {told}"


def test_relatives_that_spawn_at_the_same_moment_are_counted_in_turn(ground: Ground) -> None:
    root = claim(ground, ground.start("a"))
    _, children = born(ground, root, 6, family=11)
    parents = [claim(ground, child, f"w{n}") for n, child in enumerate(children)]

    def begets(parent: Claimed) -> Spawned:
        return ground.store.spawn(parent.lease, a_child(), a_brood(parent, 2), [])

    spawned = at_once([partial(begets, parent) for parent in parents])

    assert sorted(bool(one.refused) for one in spawned) == [False] * 2 + [True] * 4


def test_a_brood_that_was_not_begun_is_not_counted(ground: Ground) -> None:
    run_id = ground.start("a")
    left = claim(ground, run_id)
    ground.store.release(left.lease, [])
    root = claim(ground, run_id, "w2")

    late = ground.store.spawn(left.lease, a_child(), a_brood(left, 2, family=2), [])
    _, children = born(ground, root, 2, family=2)

    assert late.put is Put.LEASE_LOST
    assert len(children) == 2


def test_whoever_lost_its_lease_is_not_told_of_bounds(ground: Ground) -> None:
    run_id = ground.start("a")
    claimed = claim(ground, run_id)
    ground.store.release(claimed.lease, [])
    claim(ground, run_id, "w2")

    late = ground.store.spawn(claimed.lease, a_child(), a_brood(claimed, 1, total=0), [])

    assert late.put is Put.LEASE_LOST
