"""What both stores promise of runs that a run starts, waits for, and takes with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest

from policy.core.money import Limits
from runs.core.lifecycle import Reason, RunState
from runs.ports import Put, Save
from tests.contract.broods import (
    SECOND,
    a_brood,
    a_child,
    born,
    end,
    join,
    set_aside,
    spawn,
)
from tests.contract.builds import (
    FIRST,
    a_model,
    a_save,
    at_once,
    ended,
    put,
    waiting,
)
from tests.contract.grounds import LEASE, Ground, claim


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
