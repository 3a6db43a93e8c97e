"""What both stores promise of runs that a run starts, waits for, and takes with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import pytest

from policy.core.money import Amounts, Limits
from runs.core.effects import EffectKind, EffectState, Place
from runs.core.lifecycle import Reason, RunState
from runs.core.plan import first_checkpoint
from runs.ports import Brood, Claimed, Joined, Newborn, Put, PutEffect, Save, Spawned, Wait
from tests.contract.builds import (
    FIRST,
    a_model,
    a_save,
    a_tool,
    at_once,
    ended,
    fanned_out,
    put,
    waiting,
)
from tests.contract.grounds import LEASE, Ground, agent_of, claim, claim_task

SECOND = Place(0, "a", 1)
NOTHING = Amounts()


def a_brood(claimed: Claimed, size: int = 2, **change: Any) -> Brood:
    first = first_checkpoint(agent_of("a").graph, {"question": 1})
    fields: dict[str, Any] = {
        "join_id": str(uuid4()),
        "agent_version_id": claimed.agent_version_id,
        "agent": "worker",
        "limits": Limits(),
        "deadline": None,
        "total": 10_000,
        "at_once": 1_000,
        "family": 100_000,
        "children": [
            Newborn(id=str(uuid4()), budget_id=str(uuid4()), first=first) for _ in range(size)
        ],
    }
    return Brood(**{**fields, **change})


def a_child(place: Place = FIRST, join_id: str = "") -> PutEffect:
    told = {"value": {"join": join_id, "runs": []}}
    state = EffectState.DONE
    return a_tool(place, kind=EffectKind.CHILD, state=state, reserve=NOTHING, outcome=told)


def spawn(ground: Ground, claimed: Claimed, brood: Brood) -> Spawned:
    return ground.store.spawn(claimed.lease, a_child(join_id=brood.join_id), brood, [])


def born(ground: Ground, claimed: Claimed, size: int = 2, **change: Any) -> tuple[Brood, list[str]]:
    brood = a_brood(claimed, size, **change)
    assert spawn(ground, claimed, brood).put is Put.OK
    return brood, [child.id for child in brood.children]


def join(ground: Ground, claimed: Claimed, brood: Brood, want: int, failed: int = 1) -> Joined:
    wish = a_tool(SECOND, kind=EffectKind.JOIN, state=EffectState.HELD, reserve=NOTHING)
    wait = Wait(join_id=brood.join_id, want_succeeded=want, want_failed=failed)
    return ground.store.join(claimed.lease, wish, wait, [])


def end(ground: Ground, run_id: str, state: RunState = RunState.SUCCEEDED) -> None:
    claimed = claim(ground, run_id, "w9")
    save = Save(state=state, wakeups=claimed.wakeups, output={"by": "child"})
    ground.store.save(claimed.lease, save, ttl=LEASE)


def set_aside(ground: Ground, claimed: Claimed) -> RunState:
    save = waiting(claimed, state=RunState.WAITING, reason=Reason.CHILDREN)
    return ground.store.save(claimed.lease, save, ttl=LEASE).state


def test_children_are_queued_together_with_the_line_that_says_so(ground: Ground) -> None:
    run_id = ground.start("a")
    claimed = claim(ground, run_id)
    brood = a_brood(claimed)

    spawned = spawn(ground, claimed, brood)

    ids = [child.id for child in brood.children]
    assert sorted(n.run_id for n in spawned.sent) == sorted(ids)
    assert [ground.run(child).state for child in ids] == ["queued", "queued"]
    assert [ground.events(child) for child in ids] == [[(1, "run.queued")]] * 2
    assert ground.effects(run_id)["/0/a/0"].state == "done"
    found = claim(ground, ids[0])
    assert (len(found.above), found.values, found.agent) == (
        1,
        {"input": {"question": 1}},
        "worker",
    )


def test_a_child_knows_the_agent_versions_above_it(ground: Ground) -> None:
    parent = claim(ground, ground.start("a"))
    _, (name, _) = born(ground, parent)
    child = claim(ground, name, "w2")
    _, (grandchild, _) = born(ground, child)

    assert parent.above == ()
    assert child.above == (parent.agent_version_id,)
    assert claim(ground, grandchild, "w3").above == (parent.agent_version_id,) * 2


def test_whoever_lost_its_lease_starts_nobody(ground: Ground) -> None:
    run_id = ground.start("a")
    late = claim(ground, run_id)
    ground.pass_time(run_id, LEASE + 1)
    claim(ground, run_id, "w2")
    brood = a_brood(late)

    assert spawn(ground, late, brood).put is Put.LEASE_LOST
    assert ground.store.claim(ground.tenant, brood.children[0].id, worker="w", ttl=LEASE) is None


def test_nothing_is_started_after_a_cancellation_or_the_deadline(ground: Ground) -> None:
    cancelled, late = ground.start("a"), ground.start("a", deadline=timedelta(seconds=30))
    one, other = claim(ground, cancelled), claim(ground, late)
    ground.cancel(cancelled)
    ground.pass_time(late, 31)

    assert spawn(ground, one, a_brood(one)).put is Put.CANCELLED
    assert spawn(ground, other, a_brood(other)).put is Put.DEADLINE


def test_a_childs_deadline_is_never_later_than_its_parents(ground: Ground) -> None:
    run_id = ground.start("a", deadline=timedelta(seconds=30))
    claimed = claim(ground, run_id)
    _, (longer, _) = born(ground, claimed, deadline=timedelta(hours=1))
    wish = replace(a_child(), place=SECOND)
    short = a_brood(claimed, 1, deadline=timedelta(seconds=1))
    ground.store.spawn(claimed.lease, wish, short, [])

    assert claim(ground, longer).deadline == claimed.deadline
    sooner = claim(ground, short.children[0].id).deadline
    assert sooner is not None
    assert claimed.deadline is not None
    assert sooner < claimed.deadline


def test_a_child_spends_its_parents_money(ground: Ground) -> None:
    run_id = ground.start("a", limits=Limits(model_calls=1))
    _, (one, other) = born(ground, claim(ground, run_id))

    assert put(ground, claim(ground, one), a_model()) is Put.OK
    assert put(ground, claim(ground, other), a_model()) is Put.MODEL_CALLS
    assert ground.budget(run_id).reserved.model_calls == 1


def test_a_parent_may_be_claimed_when_its_last_child_has_ended(ground: Ground) -> None:
    run_id = ground.start("a")
    claimed = claim(ground, run_id)
    brood, (one, other) = born(ground, claimed)
    assert join(ground, claimed, brood, 2).results is None
    assert set_aside(ground, claimed) is RunState.WAITING
    end(ground, one)
    early = ground.store.claim(ground.tenant, run_id, worker="w2", ttl=LEASE)
    before = len(ground.messages(run_id))

    end(ground, other)

    assert early is None
    assert len(ground.messages(run_id)) == before + 1
    again = claim(ground, run_id, "w2")
    results = join(ground, again, brood, 2).results
    assert results is not None
    assert sorted((str(r["run"]), r["state"]) for r in results) == sorted(
        [(one, "succeeded"), (other, "succeeded")]
    )
    row = ground.effects(run_id)["/0/a/1"]
    assert (row.state, row.outcome) == ("done", {"value": results})


def test_a_child_that_ends_before_its_parent_is_set_aside_is_not_lost(ground: Ground) -> None:
    run_id = ground.start("a")
    claimed = claim(ground, run_id)
    brood, (only,) = born(ground, claimed, 1)
    assert join(ground, claimed, brood, 1).results is None

    end(ground, only)

    assert set_aside(ground, claimed) is RunState.QUEUED


def test_children_that_end_while_their_parent_looks_are_never_lost(ground: Ground) -> None:
    for _ in range(5):
        run_id = ground.start("a")
        claimed = claim(ground, run_id)
        brood, ids = born(ground, claimed, 4)
        join(ground, claimed, brood, 4)

        calls: list[Callable[[], object]] = [partial(end, ground, child) for child in ids]
        calls.append(partial(set_aside, ground, claimed))
        at_once(calls)

        results = join(ground, claim(ground, run_id, "w2"), brood, 4).results
        assert results is not None
        assert [r["state"] for r in results] == ["succeeded"] * 4


def test_a_failure_decides_a_join_and_the_rest_is_called_off(ground: Ground) -> None:
    run_id = ground.start("a")
    claimed = claim(ground, run_id)
    brood, (one, busy, idle) = born(ground, claimed, 3)
    at_work = claim(ground, busy)
    held = claim(ground, idle)
    ground.store.save(held.lease, waiting(held), ttl=LEASE)
    join(ground, claimed, brood, 3)
    set_aside(ground, claimed)

    end(ground, one, RunState.FAILED)
    decided = join(ground, claim(ground, run_id, "w2"), brood, 3)

    assert decided.results is not None
    assert {n.run_id for n in decided.sent} == {busy, idle}
    assert put(ground, at_work, a_model()) is Put.CANCELLED
    assert at_work.lease in ground.store.renew([at_work.lease], ttl=LEASE).cancelled
    assert claim(ground, idle).cancel


def test_a_join_counts_an_end_once(ground: Ground) -> None:
    run_id = ground.start("a")
    claimed = claim(ground, run_id)
    brood, (one, _) = born(ground, claimed)
    join(ground, claimed, brood, 2)
    child = claim(ground, one)
    save = Save(state=RunState.SUCCEEDED, wakeups=child.wakeups)
    ground.store.save(child.lease, save, ttl=LEASE)
    with pytest.raises(Exception, match="lost"):
        ground.store.save(child.lease, save, ttl=LEASE)

    assert set_aside(ground, claimed) is RunState.WAITING


@pytest.mark.parametrize("ends", [True, False])
def test_what_befalls_a_run_befalls_its_grandchildren(ground: Ground, *, ends: bool) -> None:
    run_id = ground.start("a")
    top = claim(ground, run_id)
    _, (middle,) = born(ground, top, 1)
    parent = claim(ground, middle)
    _, (leaf, idle) = born(ground, parent, 2)
    at_work, held = claim(ground, leaf), claim(ground, idle)
    ground.store.save(held.lease, waiting(held), ttl=LEASE)

    if ends:
        ground.store.save(top.lease, ended(top, RunState.FAILED), ttl=LEASE)
    else:
        ground.cancel(run_id)

    assert put(ground, at_work, a_model()) is Put.CANCELLED
    assert ground.store.save(at_work.lease, a_save(at_work), ttl=LEASE).cancel
    moved = replace(at_work, lease=replace(at_work.lease, super_step=1))
    assert ground.store.save(moved.lease, waiting(moved), ttl=LEASE).called_off
    assert claim(ground, idle).cancel


def test_a_run_that_ends_calls_upon_its_children(ground: Ground) -> None:
    run_id = ground.start("a")
    claimed = claim(ground, run_id)
    _, (one, other) = born(ground, claimed)
    end(ground, one)
    before = len(ground.messages(other))

    saved = ground.store.save(claimed.lease, ended(claimed), ttl=LEASE)

    assert [n.run_id for n in saved.others] == [other]
    assert len(ground.messages(other)) == before + 1


def test_the_sweeper_finds_families_whose_message_was_lost(ground: Ground) -> None:
    run_id = ground.start("a")
    claimed = claim(ground, run_id)
    brood, (one, other) = born(ground, claimed)
    join(ground, claimed, brood, 1, 2)
    set_aside(ground, claimed)
    held = claim(ground, other)
    ground.store.save(held.lease, waiting(held), ttl=LEASE)
    ground.sweep(run_id)
    quiet = ground.sweep(run_id) | ground.sweep(other)

    end(ground, one)
    ground.sweep(run_id)
    found = ground.sweep(run_id)
    join(ground, claim(ground, run_id, "w2"), brood, 1, 2)
    ground.sweep(other)

    assert (quiet, found) == (set(), {(None, "")})
    assert ground.sweep(other) == {(None, "")}


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


def test_a_rewind_calls_off_the_children_that_were_spawned_since(ground: Ground) -> None:
    run_id = ground.start("a")
    claimed = claim(ground, run_id)
    _, (kept,) = born(ground, claimed, 1)
    ground.store.save(claimed.lease, a_save(claimed), ttl=LEASE)
    later = replace(claimed, lease=replace(claimed.lease, super_step=1), ledger=())
    place = replace(FIRST, super_step=1)
    brood = a_brood(later, 1)
    ground.store.spawn(later.lease, a_child(place, brood.join_id), brood, [])
    left = brood.children[0].id
    at_work = claim(ground, left)
    before = len(ground.messages(left))
    ground.store.save(later.lease, waiting(later, reason=Reason.TIMER), ttl=LEASE)

    ground.rewind(run_id, 1)

    assert put(ground, at_work, a_model()) is Put.CANCELLED
    assert len(ground.messages(left)) == before + 1
    assert put(ground, claim(ground, kept), a_model()) is Put.OK


def test_what_a_run_waited_for_once_does_not_call_it_for_ever(ground: Ground) -> None:
    run_id = ground.start("a")
    claimed = claim(ground, run_id)
    brood, (one,) = born(ground, claimed, 1)
    join(ground, claimed, brood, 1)
    set_aside(ground, claimed)
    end(ground, one)

    again = claim(ground, run_id, "w2")
    otherwise = waiting(again, state=RunState.WAITING, reason=Reason.SIGNAL)

    assert ground.store.save(again.lease, otherwise, ttl=LEASE).state is RunState.WAITING
    assert ground.store.claim(ground.tenant, run_id, worker="w3", ttl=LEASE) is None
