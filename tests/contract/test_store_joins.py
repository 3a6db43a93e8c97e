"""What both stores promise the engine of super-steps with several tasks."""

from __future__ import annotations

import pytest

from runs.core.lifecycle import Reason
from runs.core.results import Finished, Held
from runs.errors import LeaseLost
from tests.contract.builds import a_save, at_once, fanned_out, finish, waiting
from tests.contract.grounds import LEASE, Ground, claim, claim_task


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_whoever_finishes_last_gets_the_run_with_every_result(
    ground: Ground, order: tuple[int, ...]
) -> None:
    run_id = ground.start("a", "b", "c")
    nudges = fanned_out(ground, run_id)
    tasks = [claim_task(ground, nudge, f"w{n}") for n, nudge in enumerate(nudges)]

    got = [finish(ground, tasks[n], sum=n) for n in order]

    whole = got[-1]
    assert got[:-1] == [None, None]
    assert whole is not None
    assert whole.kept == {name: Finished(writes={"sum": n}) for n, name in enumerate("abc")}
    assert (whole.lease.token, whole.lease.task) == (2, "")
    ground.store.save(whole.lease, a_save(whole), ttl=LEASE)


def test_tasks_that_finish_at_the_same_moment_give_the_run_to_one_of_them(ground: Ground) -> None:
    run_id = ground.start("a", "b", "c")
    tasks = [claim_task(ground, nudge) for nudge in fanned_out(ground, run_id)]

    got = at_once([lambda task=task: finish(ground, task) for task in tasks])  # type: ignore[misc]

    assert sum(whole is not None for whole in got) == 1


def test_nobody_claims_a_run_whose_tasks_are_open(ground: Ground) -> None:
    run_id = ground.start("a", "b", "c")
    fanned_out(ground, run_id)
    ground.pass_time(run_id, LEASE + 1)

    assert ground.store.claim(ground.tenant, run_id, worker="w2", ttl=LEASE) is None


def test_a_task_is_claimed_once_and_again_when_its_lease_ran_out(ground: Ground) -> None:
    run_id = ground.start("a", "b", "c")
    nudge = fanned_out(ground, run_id)[0]
    first = claim_task(ground, nudge)

    while_held = ground.store.claim_task(nudge, worker="w2", ttl=LEASE)
    ground.pass_time(run_id, LEASE + 1)
    second = claim_task(ground, nudge, "w2")

    assert while_held is None
    assert (first.lease.token, second.lease.token, second.crashes) == (1, 2, 1)


def test_a_zombie_of_a_task_finishes_nothing(ground: Ground) -> None:
    run_id = ground.start("a", "b", "c")
    nudge = fanned_out(ground, run_id)[0]
    zombie = claim_task(ground, nudge)
    ground.pass_time(run_id, LEASE + 1)
    heir = claim_task(ground, nudge, "w2")

    with pytest.raises(LeaseLost):
        finish(ground, zombie)
    assert finish(ground, heir) is None
    with pytest.raises(LeaseLost):
        finish(ground, heir)


def test_a_late_message_of_a_task_finds_nothing(ground: Ground) -> None:
    run_id = ground.start("a", "b", "c")
    nudges = fanned_out(ground, run_id)
    whole = [finish(ground, claim_task(ground, nudge)) for nudge in nudges][-1]
    settled = ground.store.claim_task(nudges[0], worker="w2", ttl=LEASE)
    assert whole is not None
    ground.store.save(whole.lease, a_save(whole), ttl=LEASE)

    of_the_past = ground.store.claim_task(nudges[0], worker="w2", ttl=LEASE)

    assert (settled, of_the_past) == (None, None)


def test_a_crash_after_the_join_finds_every_result_again(ground: Ground) -> None:
    run_id = ground.start("a", "b", "c")
    for nudge in fanned_out(ground, run_id):
        finish(ground, claim_task(ground, nudge), sum=1)
    ground.pass_time(run_id, LEASE + 1)

    found = claim(ground, run_id, "w2")

    assert sorted(found.kept) == ["a", "b", "c"]


def test_only_tasks_that_were_held_are_opened_again(ground: Ground) -> None:
    run_id = ground.start("a", "b", "c")
    a, b, c = (claim_task(ground, nudge) for nudge in fanned_out(ground, run_id))
    finish(ground, a, sum=1)
    held = Held(reason=Reason.APPROVAL)
    ground.store.finish_task(b.lease, held, [], ttl=LEASE)
    whole = ground.store.finish_task(c.lease, held, [], ttl=LEASE)
    assert whole is not None
    ground.store.save(whole.lease, waiting(whole), ttl=LEASE)
    ground.wake(run_id)

    again = claim(ground, run_id, "w2")
    nudges = ground.store.fan_out(again.lease, ["b", "c"])

    assert again.kept == {"a": Finished(writes={"sum": 1}), "b": held, "c": held}
    assert [finish(ground, claim_task(ground, nudge)) is None for nudge in nudges] == [True, False]


def test_a_lone_task_keeps_what_its_finished_sibling_wrote(ground: Ground) -> None:
    run_id = ground.start("a", "b")
    claimed = claim(ground, run_id)
    kept = {"a": Finished(writes={"sum": 2}, next=("b",))}
    ground.store.save(claimed.lease, waiting(claimed, kept=kept), ttl=LEASE)
    ground.wake(run_id)

    assert claim(ground, run_id, "w2").kept == kept


def test_the_sweeper_nudges_tasks_that_nobody_holds(ground: Ground) -> None:
    run_id = ground.start("a", "b", "c")
    nudges = fanned_out(ground, run_id)
    finish(ground, claim_task(ground, nudges[0]))
    claim_task(ground, nudges[1])
    ground.pass_time(run_id, LEASE + 1)

    assert ground.sweep(run_id) >= {(0, "b"), (0, "c")}
