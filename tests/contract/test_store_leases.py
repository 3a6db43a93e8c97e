"""What both stores say of leases: which are lost, which are called off, and given back."""

from __future__ import annotations

import pytest

from runs.core.results import Finished
from runs.errors import LeaseLost
from runs.ports import Put, Renewed
from tests.contract.builds import FIRST, a_save, a_tool, done, fanned_out, finish, put
from tests.contract.grounds import LEASE, Ground, claim, claim_task


def test_renewing_says_which_leases_are_lost(ground: Ground) -> None:
    lost, kept = ground.start("a"), ground.start("a")
    zombie, holder = claim(ground, lost), claim(ground, kept)
    ground.pass_time(lost, LEASE + 1)
    ground.store.renew([holder.lease], ttl=LEASE)
    claim(ground, lost, "w2")

    found = ground.store.renew([zombie.lease, holder.lease], ttl=LEASE)

    assert found == Renewed(lost=frozenset({zombie.lease}))


def test_renewing_says_which_runs_somebody_asked_to_cancel(ground: Ground) -> None:
    asked, other = ground.start("a"), ground.start("a")
    first, second = claim(ground, asked), claim(ground, other)
    ground.cancel(asked)

    found = ground.store.renew([first.lease, second.lease], ttl=LEASE)

    assert found == Renewed(cancelled=frozenset({first.lease}))


def test_the_leases_of_tasks_are_lost_and_called_off_like_those_of_runs(ground: Ground) -> None:
    run_id = ground.start("a", "b", "c")
    a, b, _ = [claim_task(ground, nudge) for nudge in fanned_out(ground, run_id)]
    finish(ground, a)
    ground.cancel(run_id)

    found = ground.store.renew([a.lease, b.lease], ttl=LEASE)

    assert found == Renewed(lost=frozenset({a.lease}), cancelled=frozenset({b.lease}))


def test_a_run_of_another_tenant_is_lost_whatever_its_token(ground: Ground) -> None:
    from dataclasses import replace

    held = claim(ground, ground.start("a")).lease
    theirs = replace(held, tenant_id=ground.another_tenant())

    assert ground.store.renew([theirs], ttl=LEASE).lost == {theirs}


def test_a_run_that_is_given_back_is_free_at_once_and_did_not_crash(ground: Ground) -> None:
    run_id = ground.start("a")
    held = claim(ground, run_id)

    nudge = ground.store.release(held.lease, [])

    assert (nudge.run_id, nudge.super_step, nudge.task) == (run_id, None, "")
    assert ground.run(run_id).state == "queued"
    assert ground.messages(run_id)[-1] == (None, "")
    again = claim(ground, run_id, "w2")
    assert again.lease.token == held.lease.token + 1
    assert ground.run(run_id).crashes == 0


def test_what_effects_came_to_is_written_when_their_run_is_given_back(ground: Ground) -> None:
    run_id = ground.start("a")
    held = claim(ground, run_id)
    assert put(ground, held, a_tool()) is Put.OK

    ground.store.release(held.lease, [done(FIRST)])

    (found,) = claim(ground, run_id, "w2").ledger
    assert (found.state, found.outcome) == ("done", {"value": "ok"})
    assert ground.budget(run_id).reserved.tool_calls == 0
    kinds = [kind for _, kind in ground.events(run_id)]
    assert kinds[-2:] == ["effect.done", "run.released"]
    assert [number for number, _ in ground.events(run_id)] == list(range(1, len(kinds) + 1))


def test_whoever_gave_a_run_back_cannot_write_any_more(ground: Ground) -> None:
    run_id = ground.start("a")
    held = claim(ground, run_id)
    ground.store.release(held.lease, [])

    assert put(ground, held, a_tool()) is Put.LEASE_LOST
    with pytest.raises(LeaseLost):
        ground.store.save(held.lease, a_save(held), ttl=LEASE)
    with pytest.raises(LeaseLost):
        ground.store.release(held.lease, [])


def test_a_task_that_is_given_back_is_pending_and_its_siblings_go_on(ground: Ground) -> None:
    run_id = ground.start("a", "b", "c")
    nudges = fanned_out(ground, run_id)
    a, b = claim_task(ground, nudges[0]), claim_task(ground, nudges[1])

    nudge = ground.store.release(a.lease, [])

    assert (nudge.super_step, nudge.task) == (0, "a")
    with pytest.raises(LeaseLost):
        ground.store.finish_task(a.lease, Finished(writes={}), [], ttl=LEASE)
    assert finish(ground, b) is None
    again = claim_task(ground, nudge, "w2")
    assert (again.crashes, again.lease.token) == (0, a.lease.token + 1)


def test_a_cancelled_run_that_is_given_back_is_found_cancelled(ground: Ground) -> None:
    run_id = ground.start("a")
    held = claim(ground, run_id)
    ground.cancel(run_id)

    ground.store.release(held.lease, [])

    assert claim(ground, run_id, "w2").cancel


def test_what_must_not_be_sent_twice_keeps_its_run_while_it_may_be_sent(ground: Ground) -> None:
    run_id = ground.start("a")
    held = claim(ground, run_id)
    ground.pass_time(run_id, LEASE - 10)

    assert put(ground, held, a_tool(keep=LEASE)) is Put.OK
    ground.pass_time(run_id, LEASE - 10)

    assert ground.store.claim(ground.tenant, run_id, worker="w2", ttl=LEASE) is None
    ground.pass_time(run_id, 11)
    assert claim(ground, run_id, "w2").lease.token == held.lease.token + 1


def test_what_must_not_be_sent_twice_keeps_its_task_while_it_may_be_sent(ground: Ground) -> None:
    run_id = ground.start("a", "b", "c")
    nudge = fanned_out(ground, run_id)[0]
    held = claim_task(ground, nudge)
    ground.pass_time(run_id, LEASE - 10)

    assert put(ground, held, a_tool(keep=LEASE)) is Put.OK
    ground.pass_time(run_id, LEASE - 10)

    assert ground.store.claim_task(nudge, worker="w2", ttl=LEASE) is None
    ground.pass_time(run_id, 11)
    assert claim_task(ground, nudge, "w2").lease.token == held.lease.token + 1
