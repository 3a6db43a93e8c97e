"""What both stores promise the engine of runs that wait, are woken, and end."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from policy.core.outcomes import ErrorClass
from runs.core.lifecycle import HELD_BACK, Reason, RunState
from runs.core.results import Held
from runs.errors import IllegalMove
from runs.ports import Save
from tests.contract.builds import a_save, fanned_out, waiting
from tests.contract.grounds import LEASE, Ground, claim, claim_task
from tests.contract.postgres_ground import PostgresGround


def test_a_run_that_waits_holds_nothing_and_is_nobodys_to_claim(ground: Ground) -> None:
    run_id = ground.start("a")
    claimed = claim(ground, run_id)

    saved = ground.store.save(claimed.lease, waiting(claimed), ttl=LEASE)

    assert saved.state is RunState.INTERRUPTED
    assert ground.run(run_id).reason == "approval"
    assert ground.store.claim(ground.tenant, run_id, worker="w2", ttl=LEASE) is None
    assert ground.checkpoints(run_id) == [(0, 0)]


def test_a_wake_between_claim_and_suspension_is_never_lost(ground: Ground) -> None:
    run_id = ground.start("a")
    claimed = claim(ground, run_id)
    ground.wake(run_id)

    saved = ground.store.save(claimed.lease, waiting(claimed), ttl=LEASE)

    assert saved.state is RunState.QUEUED
    assert saved.sent is not None
    claim(ground, run_id, "w2")


def test_a_wake_while_tasks_are_fanned_out_is_never_lost(ground: Ground) -> None:
    run_id = ground.start("a", "b", "c")
    tasks = [claim_task(ground, nudge) for nudge in fanned_out(ground, run_id)]
    ground.wake(run_id)
    held = Held(reason=Reason.APPROVAL)
    whole = [ground.store.finish_task(t.lease, held, [], ttl=LEASE) for t in tasks][-1]
    assert whole is not None

    saved = ground.store.save(whole.lease, waiting(whole), ttl=LEASE)

    assert saved.state is RunState.QUEUED


def test_a_wake_that_was_seen_does_not_keep_a_run_from_waiting(ground: Ground) -> None:
    run_id = ground.start("a")
    ground.wake(run_id)
    claimed = claim(ground, run_id)

    saved = ground.store.save(claimed.lease, waiting(claimed), ttl=LEASE)

    assert saved.state is RunState.INTERRUPTED


def test_a_wake_does_not_disturb_a_super_step_that_is_complete(ground: Ground) -> None:
    run_id = ground.start("a")
    claimed = claim(ground, run_id)
    ground.wake(run_id)

    saved = ground.store.save(claimed.lease, a_save(claimed), ttl=LEASE)

    assert (saved.state, saved.wakeups) == (RunState.RUNNING, claimed.wakeups + 1)


def test_a_timer_that_is_due_queues_the_run(ground: Ground) -> None:
    run_id = ground.start("a")
    claimed = claim(ground, run_id)
    save = waiting(
        claimed,
        state=RunState.WAITING,
        reason=Reason.TIMER,
        due_at=claimed.now + timedelta(seconds=30),
    )
    ground.store.save(claimed.lease, save, ttl=LEASE)

    ground.pass_time(run_id, 20)
    ground.sweep(run_id)
    early = ground.run(run_id).state
    ground.pass_time(run_id, 20)
    ground.sweep(run_id)

    assert (early, ground.run(run_id).state) == ("waiting", "queued")
    claim(ground, run_id)


def test_the_sweeper_nudges_a_run_whose_worker_died(ground: Ground) -> None:
    run_id = ground.start("a")
    claim(ground, run_id)
    ground.sweep(run_id)

    held = ground.sweep(run_id)
    ground.pass_time(run_id, LEASE + 1)
    left = ground.sweep(run_id)

    assert held == set()
    assert left == {(None, "")}


def test_the_sweeper_nudges_a_queued_run_whose_message_was_lost(ground: Ground) -> None:
    run_id = ground.start("a")
    ground.sweep(run_id)
    ground.pass_time(run_id, 5)

    assert ground.sweep(run_id) == {(None, "")}


def test_a_run_that_ended_is_nobodys_and_stays_as_it_is(ground: Ground) -> None:
    run_id = ground.start("a")
    claimed = claim(ground, run_id)
    save = a_save(claimed, RunState.SUCCEEDED, tasks=(), output={"answer": 42})
    ground.store.save(claimed.lease, save, ttl=LEASE)

    ground.wake(run_id)
    ground.pass_time(run_id, LEASE + 1)

    seen = ground.run(run_id)
    assert (seen.state, seen.output) == ("succeeded", {"answer": 42})
    assert ground.store.claim(ground.tenant, run_id, worker="w2", ttl=LEASE) is None
    with pytest.raises(IllegalMove):
        ground.cancel(run_id)


def test_a_run_that_fails_keeps_its_last_checkpoint_and_says_why(ground: Ground) -> None:
    run_id = ground.start("a")
    claimed = claim(ground, run_id)
    save = Save(
        state=RunState.FAILED,
        wakeups=claimed.wakeups,
        error_class=ErrorClass.INTERNAL,
        error_detail="it broke",
        events=[("run.failed", {})],
    )

    ground.store.save(claimed.lease, save, ttl=LEASE)

    seen = ground.run(run_id)
    assert (seen.state, seen.error_class, seen.super_step) == ("failed", "internal", 0)


@pytest.mark.parametrize("claimed_before", [False, True])
def test_a_run_that_nobody_holds_is_cancelled_at_once(
    ground: Ground, *, claimed_before: bool
) -> None:
    run_id = ground.start("a")
    if claimed_before:
        claimed = claim(ground, run_id)
        ground.store.save(claimed.lease, waiting(claimed), ttl=LEASE)

    ground.cancel(run_id)

    assert ground.run(run_id).state == "cancelled"
    assert ground.events(run_id)[-1][1] == "run.cancelled"
    assert ground.store.claim(ground.tenant, run_id, worker="w2", ttl=LEASE) is None


def test_whoever_holds_a_run_is_told_to_cancel_it(ground: Ground) -> None:
    run_id = ground.start("a")
    claimed = claim(ground, run_id)

    ground.cancel(run_id)
    ground.cancel(run_id)
    saved = ground.store.save(claimed.lease, a_save(claimed), ttl=LEASE)

    assert (saved.state, saved.cancel) == (RunState.RUNNING, True)


@pytest.mark.parametrize("state", [RunState.SUCCEEDED, RunState.INTERRUPTED, RunState.PAUSED])
def test_a_cancelled_run_neither_succeeds_nor_is_set_aside(ground: Ground, state: RunState) -> None:
    run_id = ground.start("a")
    claimed = claim(ground, run_id)
    ground.cancel(run_id)

    reason = Reason.APPROVAL if state in HELD_BACK else Reason.NONE
    refused = replace(a_save(claimed), state=state, checkpoint=None, writes={}, reason=reason)
    saved = ground.store.save(claimed.lease, refused, ttl=LEASE)

    assert saved.called_off
    assert ground.run(run_id).state == RunState.RUNNING
    end = replace(refused, state=RunState.CANCELLED, reason=Reason.NONE)
    assert ground.store.save(claimed.lease, end, ttl=LEASE).state is RunState.CANCELLED


@pytest.mark.parametrize("is_waiting", [False, True])
def test_a_run_past_its_deadline_that_nobody_holds_expires(
    ground: Ground, *, is_waiting: bool
) -> None:
    run_id = ground.start("a", deadline=timedelta(seconds=90))
    if is_waiting:
        claimed = claim(ground, run_id)
        ground.store.save(claimed.lease, waiting(claimed), ttl=LEASE)
    ground.sweep(run_id)
    before = ground.run(run_id).state

    ground.pass_time(run_id, 100)
    ground.sweep(run_id)

    assert before in {"queued", "interrupted"}
    assert ground.run(run_id).state == "expired"
    assert [n for n, _ in ground.events(run_id)] == list(range(1, len(ground.events(run_id)) + 1))


def test_every_move_of_a_run_stands_in_the_audit_log(postgres: PostgresGround) -> None:
    run_id = postgres.start("a")
    claimed = claim(postgres, run_id)
    postgres.store.save(claimed.lease, waiting(claimed), ttl=LEASE)
    postgres.wake(run_id)
    claimed = claim(postgres, run_id)
    end = a_save(claimed, RunState.SUCCEEDED, tasks=())
    postgres.store.save(claimed.lease, end, ttl=LEASE)

    assert postgres.audit(run_id) == ["run.started", "run.interrupted", "run.succeeded"]


def test_renewing_crosses_tenants_but_only_with_the_whole_triple(postgres: PostgresGround) -> None:
    mine, theirs = postgres.start("a"), postgres.another_tenant()
    claimed = claim(postgres, mine)
    postgres.pass_time(mine, LEASE - 1)

    postgres.store.renew([replace(claimed.lease, tenant_id=theirs)], ttl=LEASE)
    postgres.pass_time(mine, 2)

    assert claim(postgres, mine, "w2").lease.token == 2
