"""What both stores promise the engine: leases that fence, super-steps that commit whole."""

from __future__ import annotations

from dataclasses import replace

import pytest

from policy.core.json import Json
from policy.core.money import Limits, Unit
from runs.core.channels import Log
from runs.core.checkpoint import TaskSpec, decode
from runs.core.lifecycle import RunState
from runs.errors import IllegalMove, LeaseLost
from tests.contract.builds import a_save, at_once, moved
from tests.contract.grounds import LEASE, Ground, claim

LIMITED = Limits(tool_calls=1)


def test_of_many_who_claim_at_once_one_wins(ground: Ground) -> None:
    run_id = ground.start("a")

    won = at_once(
        [
            lambda n=n: ground.store.claim(ground.tenant, run_id, worker=f"w{n}", ttl=LEASE)  # type: ignore[misc]
            for n in range(6)
        ]
    )

    assert sum(claimed is not None for claimed in won) == 1
    assert ground.run(run_id).token == 1


def test_a_claim_finds_the_run_as_it_was_started(ground: Ground) -> None:
    run_id = ground.start("a", "b")

    claimed = claim(ground, run_id)

    assert claimed.values == {"input": {"question": 1}}
    assert [task[0] for task in claimed.head["tasks"]] == ["a", "b"]
    assert (claimed.kept, list(claimed.ledger), claimed.cancel) == ({}, [], False)
    assert (claimed.lease.super_step, claimed.lease.token, claimed.lease.task) == (0, 1, "")


def test_nobody_claims_a_run_that_is_held_until_its_lease_runs_out(ground: Ground) -> None:
    run_id = ground.start("a")
    first = claim(ground, run_id)

    while_held = ground.store.claim(ground.tenant, run_id, worker="w2", ttl=LEASE)
    ground.pass_time(run_id, LEASE + 1)
    second = claim(ground, run_id, "w2")

    assert while_held is None
    assert second.lease.token == first.lease.token + 1
    assert ground.run(run_id).crashes == 1


def test_a_renewed_lease_does_not_run_out(ground: Ground) -> None:
    run_id = ground.start("a")
    first = claim(ground, run_id)
    ground.pass_time(run_id, LEASE - 1)

    ground.store.renew([first.lease], ttl=LEASE)
    ground.pass_time(run_id, LEASE - 1)

    assert ground.store.claim(ground.tenant, run_id, worker="w2", ttl=LEASE) is None


def test_renewing_a_lost_lease_gives_it_to_nobody_and_takes_it_from_nobody(ground: Ground) -> None:
    run_id = ground.start("a")
    zombie = claim(ground, run_id)
    ground.pass_time(run_id, LEASE + 1)
    claim(ground, run_id, "w2")
    ground.pass_time(run_id, LEASE + 1)

    ground.store.renew([zombie.lease], ttl=LEASE)

    claim(ground, run_id, "w3")


def test_a_zombie_saves_nothing(ground: Ground) -> None:
    run_id = ground.start("a")
    zombie = claim(ground, run_id)
    ground.pass_time(run_id, LEASE + 1)
    claim(ground, run_id, "w2")
    before = ground.run(run_id), ground.events(run_id)

    with pytest.raises(LeaseLost):
        ground.store.save(zombie.lease, a_save(zombie, writes={"sum": 1}), ttl=LEASE)
    with pytest.raises(LeaseLost):
        ground.store.fan_out(zombie.lease, ["a", "b"])

    assert (ground.run(run_id), ground.events(run_id)) == before
    assert ground.checkpoints(run_id) == [(0, 0)]


def test_a_save_that_was_made_cannot_be_made_again(ground: Ground) -> None:
    run_id = ground.start("a")
    claimed = claim(ground, run_id)
    ground.store.save(claimed.lease, a_save(claimed), ttl=LEASE)

    with pytest.raises(LeaseLost):
        ground.store.save(claimed.lease, a_save(claimed), ttl=LEASE)


def test_a_run_is_nobodys_in_another_tenant(ground: Ground) -> None:
    run_id = ground.start("a")
    elsewhere = ground.another_tenant()
    mine = claim(ground, run_id)
    stolen = replace(mine, lease=replace(mine.lease, tenant_id=elsewhere))

    assert ground.store.claim(elsewhere, run_id, worker="w2", ttl=LEASE) is None
    assert ground.store.read_log(run_id, elsewhere, "notes", 5) == []
    with pytest.raises(LeaseLost):
        ground.store.save(stolen.lease, a_save(stolen), ttl=LEASE)


def test_a_run_that_kills_five_workers_is_parked_as_poison(ground: Ground) -> None:
    run_id = ground.start("a")
    for _ in range(5):
        claim(ground, run_id)
        ground.pass_time(run_id, LEASE + 1)

    sixth = ground.store.claim(ground.tenant, run_id, worker="w6", ttl=LEASE)

    seen = ground.run(run_id)
    assert sixth is None
    assert (seen.state, seen.reason) == ("interrupted", "poison")
    assert ground.events(run_id)[-1][1] == "run.parked"


def test_a_parked_run_is_woken_by_nothing_but_its_resumption(ground: Ground) -> None:
    run_id = ground.start("a")
    for _ in range(5):
        claim(ground, run_id)
        ground.pass_time(run_id, LEASE + 1)
    ground.store.claim(ground.tenant, run_id, worker="w6", ttl=LEASE)

    ground.sweep(run_id)
    before = ground.run(run_id).state
    ground.resume(run_id)

    assert before == "interrupted"
    assert ground.run(run_id).crashes == 0
    claim(ground, run_id)


def test_a_committed_super_step_forgets_the_crashes_before_it(ground: Ground) -> None:
    run_id = ground.start("a")
    for _ in range(4):
        claim(ground, run_id)
        ground.pass_time(run_id, LEASE + 1)
    claimed = claim(ground, run_id)

    ground.store.save(claimed.lease, a_save(claimed), ttl=LEASE)

    assert ground.run(run_id).crashes == 0


def test_a_run_that_is_not_parked_cannot_be_resumed(ground: Ground) -> None:
    run_id = ground.start("a")

    with pytest.raises(IllegalMove):
        ground.resume(run_id)


def test_checkpoints_have_contiguous_numbers_and_tokens_that_never_fall(ground: Ground) -> None:
    run_id = ground.start("a")
    claimed = claim(ground, run_id)
    for _ in range(3):
        ground.store.save(claimed.lease, a_save(claimed), ttl=LEASE)
        claimed = moved(claimed)
    ground.pass_time(run_id, LEASE + 1)
    claimed = claim(ground, run_id, "w2")
    ground.store.save(claimed.lease, a_save(claimed), ttl=LEASE)

    assert ground.checkpoints(run_id) == [(0, 0), (1, 1), (2, 1), (3, 1), (4, 2)]


def test_what_was_written_is_found_by_the_next_claim(ground: Ground) -> None:
    run_id = ground.start("a")
    claimed = claim(ground, run_id)
    save = a_save(claimed, writes={"sum": 3}, tasks=(TaskSpec(id="b", node="b", arg={"n": 1}),))
    ground.store.save(claimed.lease, replace(save, state=RunState.QUEUED), ttl=LEASE)

    found = claim(ground, run_id, "w2")

    assert found.values == {"input": {"question": 1}, "sum": 3}
    assert found.head["tasks"] == [["b", "b", {"n": 1}]]


def test_logs_are_read_in_order_and_no_further_than_asked(ground: Ground) -> None:
    run_id = ground.start("a")
    claimed = claim(ground, run_id)
    log = Log()
    for items in (["x", {"y": 1}], [], ["z"]):
        log = log.extended(items)
        save = a_save(claimed, writes={"notes": items})
        channels = {**(save.checkpoint.channels if save.checkpoint else {}), "notes": log}
        save = replace(save, checkpoint=replace(save.checkpoint, channels=channels))  # type: ignore[type-var]
        ground.store.save(claimed.lease, save, ttl=LEASE)
        claimed = moved(claimed)

    def upto(n: int) -> list[Json]:
        return ground.store.read_log(run_id, ground.tenant, "notes", n)

    assert (upto(0), upto(1), upto(2), upto(9)) == (
        [],
        ["x", {"y": 1}],
        ["x", {"y": 1}],
        ["x", {"y": 1}, "z"],
    )


def test_a_log_that_was_written_empty_is_a_log_when_it_is_loaded(ground: Ground) -> None:
    run_id = ground.start("a")
    claimed = claim(ground, run_id)
    save = a_save(claimed, RunState.QUEUED, writes={"notes": []})
    channels = {"input": {"question": 1}, "notes": Log()}
    save = replace(save, checkpoint=replace(save.checkpoint, channels=channels))  # type: ignore[type-var]
    ground.store.save(claimed.lease, save, ttl=LEASE)

    found = claim(ground, run_id, "w2")
    loaded = decode(1, found.head, found.values, lambda _: list)

    assert isinstance(loaded.channels["notes"], Log)


def test_a_chained_super_step_leaves_a_message(ground: Ground) -> None:
    run_id = ground.start("a")
    claimed = claim(ground, run_id)
    before = len(ground.messages(run_id))

    saved = ground.store.save(claimed.lease, a_save(claimed, RunState.QUEUED), ttl=LEASE)

    assert saved.state is RunState.QUEUED
    assert saved.sent is not None
    assert len(ground.messages(run_id)) == before + 1


def test_events_have_one_sequence_without_gaps(ground: Ground) -> None:
    run_id = ground.start("a")
    claimed = claim(ground, run_id)
    ground.store.save(claimed.lease, a_save(claimed, events=[("note", {})]), ttl=LEASE)

    seen = ground.events(run_id)

    assert [number for number, _ in seen] == [1, 2, 3, 4]
    assert [kind for _, kind in seen] == [
        "run.queued",
        "run.started",
        "super_step.committed",
        "note",
    ]


def test_a_run_woken_before_its_first_claim_leaves_no_gap_in_its_events(ground: Ground) -> None:
    run_id = ground.start("a", limits=LIMITED)
    ground.raise_budget(run_id, Unit.TOOL_CALLS, 1)

    claim(ground, run_id)

    assert ground.events(run_id) == [(1, "run.queued"), (2, "budget.raised"), (3, "run.started")]
