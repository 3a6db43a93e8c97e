"""Commits of several runs in one transaction: each as if it were alone, whatever the others are."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from threading import Event
from typing import Any, cast

import pytest

from policy.core.money import Limits
from runs.committing import Kind, Part
from runs.core.lifecycle import Reason, RunState
from runs.core.results import Finished
from runs.errors import LeaseLost, StoreAway
from runs.ports import Claimed, Put
from runs.process import open_pool
from runs.statements import Statement
from runs.store import PostgresStore
from tests.contract.broods import a_brood, join, spawn
from tests.contract.builds import a_model, a_save, a_tool, done, ended, fanned_out, waiting
from tests.contract.grounds import LEASE, claim, claim_task
from tests.contract.postgres_ground import PostgresGround
from tests.processes import eventually

LONG = 30.0
STUCK = Statement("stuck", 0)


class OneGroup(PostgresStore):
    """A store that makes calls wait for each other, so that they are one group."""

    def __init__(self, ground: PostgresGround) -> None:
        super().__init__(ground.pool, patience=LONG)
        self.groups: list[int] = []
        self._is_held, self._go_on = Event(), Event()

    def _alone(self, part: Part) -> Any:
        if part.statement is not STUCK:
            return super()._alone(part)
        self._is_held.set()
        return self._go_on.wait(LONG)

    def _together(self, parts: Any) -> Any:
        self.groups.append(len(parts))
        return super()._together(parts)

    def at_once(self, *calls: Callable[[], Any]) -> list[Future[Any]]:
        """Make calls behind one that is held until all of them wait."""
        committer = self._committer
        assert committer is not None
        with ThreadPoolExecutor(len(calls) + 1) as threads:
            stuck = Part(kind=Kind.SAVE, statement=STUCK, args=("", ""))
            threads.submit(committer.commit, stuck)
            assert self._is_held.wait(LONG)
            made = [threads.submit(call) for call in calls]
            assert eventually(lambda: committer.waiting == len(calls))
            self._go_on.set()
        return made


def saving(store: PostgresStore, claimed: Claimed, **change: Any) -> Callable[[], Any]:
    return lambda: store.save(claimed.lease, a_save(claimed, **change), ttl=LEASE)


def elsewhere(ground: PostgresGround) -> PostgresGround:
    """The same database, seen by another tenant."""
    return replace(ground, tenant=ground.another_tenant())


def test_a_lost_lease_in_a_group_drops_only_its_own_part(postgres: PostgresGround) -> None:
    held, lost = (claim(postgres, postgres.start("a")) for _ in range(2))
    postgres.pass_time(lost.lease.run_id, LEASE + 1)
    newer = claim(postgres, lost.lease.run_id, "w2")
    store = OneGroup(postgres)

    good, bad = store.at_once(saving(store, held), saving(store, lost))

    assert store.groups == [2]
    assert good.result().state is RunState.RUNNING
    with pytest.raises(LeaseLost):
        bad.result()
    assert postgres.run(held.lease.run_id).super_step == 1
    assert postgres.run(lost.lease.run_id).super_step == 0
    assert postgres.run(lost.lease.run_id).token == newer.lease.token


def test_a_poisoned_part_of_a_group_fails_alone(postgres: PostgresGround) -> None:
    good, bad, also_good = (claim(postgres, postgres.start("a")) for _ in range(3))
    store = OneGroup(postgres)

    made = store.at_once(
        saving(store, good),
        saving(store, bad, writes={"sum": "\0 is no text that can be stored"}),
        saving(store, also_good),
    )

    assert store.groups == [3]
    assert [one.exception() is None for one in made] == [True, False, True]
    steps = [postgres.run(one.lease.run_id).super_step for one in (good, bad, also_good)]
    assert steps == [1, 0, 1]
    told, untold = postgres.events(good.lease.run_id), postgres.events(bad.lease.run_id)
    assert [kind for _, kind in told[len(untold) :]] == ["super_step.committed"]


def test_parts_of_many_tenants_in_a_group_never_mix(postgres: PostgresGround) -> None:
    other = elsewhere(postgres)
    ours, theirs = claim(postgres, postgres.start("a")), claim(other, other.start("a"))
    as_if_ours = replace(theirs, lease=replace(theirs.lease, tenant_id=postgres.tenant))
    store = OneGroup(postgres)

    mine, stolen, *put = store.at_once(
        saving(store, ours, events=[("mine", {})]),
        saving(store, as_if_ours, events=[("stolen", {})]),
        lambda: store.put_effect(as_if_ours.lease, a_tool(), []),
        lambda: store.put_effect(theirs.lease, a_model(), []),
    )

    assert store.groups == [4]
    assert mine.result().state is RunState.RUNNING
    assert [one.result() for one in put] == [Put.LEASE_LOST, Put.OK]
    with pytest.raises(LeaseLost):
        stolen.result()
    assert "mine" in {kind for _, kind in postgres.events(ours.lease.run_id)}
    assert "stolen" not in {kind for _, kind in other.events(theirs.lease.run_id)}
    assert (other.run(theirs.lease.run_id).super_step, len(other.effects(theirs.lease.run_id))) == (
        0,
        1,
    )
    assert postgres.events(theirs.lease.run_id) == []


def test_effects_results_and_ends_of_a_group_are_what_they_are_alone(
    postgres: PostgresGround,
) -> None:
    asks = claim(postgres, postgres.start("a", limits=Limits(model_calls=5)))
    settles = claim(postgres, postgres.start("a", limits=Limits(tool_calls=5)))
    postgres.store.put_effect(settles.lease, a_tool(), [])
    ends = claim(postgres, postgres.start("a"))
    many = postgres.start("a", "b", "c")
    tasks = [claim_task(postgres, nudge) for nudge in fanned_out(postgres, many)]
    store = OneGroup(postgres)

    made = store.at_once(
        lambda: store.put_effect(asks.lease, a_model(), []),
        saving(store, settles, effects=[done()]),
        lambda: store.save(ends.lease, ended(ends), ttl=LEASE),
        *(
            lambda task=task: store.finish_task(task.lease, Finished(writes={}), [], ttl=LEASE)
            for task in tasks
        ),
    )

    assert store.groups == [6]
    assert made[0].result() is Put.OK
    assert postgres.budget(asks.lease.run_id).reserved.model_calls == 1
    assert postgres.budget(settles.lease.run_id).spent.tool_calls == 1
    assert postgres.run(ends.lease.run_id).state == "cancelled"
    whole = [cast("Claimed", one.result()) for one in made[3:] if one.result() is not None]
    assert [claimed.lease.token for claimed in whole] == [2]


def test_of_those_who_claim_a_run_in_one_group_one_gets_it(postgres: PostgresGround) -> None:
    wanted, other, theirs = postgres.start("a"), postgres.start("a"), elsewhere(postgres).start("a")
    on = claim(postgres, postgres.start("a"))
    store = OneGroup(postgres)

    def claiming(run_id: str, worker: str) -> Callable[[], Claimed | None]:
        return lambda: store.claim(postgres.tenant, run_id, worker=worker, ttl=LEASE)

    first, second, alone, stolen, saved = store.at_once(
        claiming(wanted, "w1"),
        claiming(wanted, "w2"),
        claiming(other, "w1"),
        claiming(theirs, "w1"),
        saving(store, on),
    )

    assert store.groups == [5]
    held = [found for one in (first, second) if (found := one.result()) is not None]
    assert [claimed.lease.token for claimed in held] == [1]
    assert postgres.run(wanted).token == 1
    assert alone.result().lease.run_id == other
    assert stolen.result() is None
    assert saved.result().state is RunState.RUNNING


@pytest.mark.parametrize("begins", ["00000000", "ffffffff"], ids=["child_first", "parent_first"])
@pytest.mark.parametrize("is_aside", [False, True], ids=["set_aside_now", "asked_for_again"])
def test_a_parent_and_its_last_children_in_one_group_miss_nothing(
    postgres: PostgresGround, begins: str, *, is_aside: bool
) -> None:
    parent = claim(postgres, postgres.start("a"))
    run_id = parent.lease.run_id
    brood = a_brood(parent)
    brood = replace(brood, children=[replace(o, id=begins + o.id[8:]) for o in brood.children])
    spawn(postgres, parent, brood)
    children = [claim(postgres, child.id) for child in brood.children]
    join(postgres, parent, brood, 2)
    sets_aside = waiting(parent, state=RunState.WAITING, reason=Reason.CHILDREN)
    store = OneGroup(postgres)
    of_parent: Callable[[], Any] = partial(store.save, parent.lease, sets_aside, ttl=LEASE)
    if is_aside:
        of_parent()
        of_parent = partial(store.claim, postgres.tenant, run_id, worker="w2", ttl=LEASE)

    first, *ends = store.at_once(
        of_parent, *(saving(store, one, state=RunState.SUCCEEDED) for one in children)
    )

    assert store.groups == [3]
    called = run_id in {nudge.run_id for one in ends for nudge in one.result().others}
    assert called or first.result().sent is not None
    held = first.result() if is_aside else None
    joined = join(postgres, held or claim(postgres, run_id, "w3"), brood, 2)
    assert [r["state"] for r in joined.results or ()] == ["succeeded", "succeeded"]
    assert postgres.run(run_id).token == 2


def test_a_group_does_not_wait_for_a_run_that_somebody_else_holds_locked(
    postgres: PostgresGround,
) -> None:
    free, locked = (claim(postgres, postgres.start("a")) for _ in range(2))
    store = OneGroup(postgres)
    lock = "SELECT 1 FROM runs_run WHERE id = %s FOR NO KEY UPDATE"

    with ThreadPoolExecutor(1) as threads, postgres.system.connection() as other:
        other.execute(lock, [locked.lease.run_id])
        made = threads.submit(store.at_once, saving(store, free), saving(store, locked))
        assert eventually(lambda: postgres.run(free.lease.run_id).super_step == 1)
        assert postgres.run(locked.lease.run_id).super_step == 0
        other.rollback()

    assert [one.result().state for one in made.result()] == [RunState.RUNNING, RunState.RUNNING]
    assert postgres.run(locked.lease.run_id).super_step == 1


def test_a_connection_lost_under_a_group_is_told_to_all_of_it(postgres: PostgresGround) -> None:
    claimed = [claim(postgres, postgres.start("a")) for _ in range(2)]

    class Severed(OneGroup):
        def _together(self, parts: Any) -> Any:
            with self._pool.connection() as connection:
                pid = connection.info.backend_pid
            with postgres.pool.connection() as other:
                other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
            return super()._together(parts)

    with open_pool(1) as pool:
        store = Severed(replace(postgres, pool=pool))
        made = store.at_once(*(saving(store, one) for one in claimed))

    assert [type(one.exception()) for one in made] == [StoreAway, StoreAway]
    assert [postgres.run(one.lease.run_id).super_step for one in claimed] == [0, 0]


def test_the_tenant_of_a_group_is_forgotten_with_it(postgres: PostgresGround) -> None:
    claimed = [claim(postgres, postgres.start("a")) for _ in range(2)]
    store = OneGroup(postgres)
    store.at_once(*(saving(store, one) for one in claimed))

    with postgres.pool.connection() as connection:
        found = connection.execute("SELECT count(*) FROM runs_run").fetchone()

    assert found == (0,)
