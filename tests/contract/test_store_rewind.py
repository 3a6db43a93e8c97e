"""What both stores make of a run that is taken back to one of its checkpoints."""

from __future__ import annotations

import pytest

from policy.core.json import Json
from runs.core.channels import Log
from runs.core.checkpoint import Checkpoint, decode
from runs.core.lifecycle import Reason, RunState
from runs.errors import IllegalMove, LeaseLost
from runs.ports import Claimed, Put, Save
from tests.contract.builds import a_save, ended, held, moved, put, waiting
from tests.contract.grounds import LEASE, Ground, claim


def noted(claimed: Claimed, before: list[str], note: str, state: RunState) -> Save:
    """The commit of a super-step that appends one note to a log."""
    step = claimed.lease.super_step + 1
    save = a_save(claimed, state, writes={"notes": [note]})
    past = save.checkpoint
    assert past is not None
    log = Log().extended([*before, note])
    checkpoint = Checkpoint(
        super_step=step,
        channels={"input": {"question": 1}, "notes": log},
        written={"input": 0, "notes": step},
        tasks=past.tasks,
        skipped=decode(0, claimed.head, {}, lambda _: list).skipped,
    )
    return Save(
        state=state, wakeups=claimed.wakeups, checkpoint=checkpoint, writes=dict(save.writes)
    )


def with_notes(ground: Ground, *notes: str) -> str:
    """A queued run that wrote one note in each super-step."""
    run_id = ground.start("a")
    go_on(ground, run_id, [], *notes)
    return run_id


def go_on(ground: Ground, run_id: str, before: list[str], *notes: str) -> None:
    claimed, told = claim(ground, run_id), list(before)
    for note in notes:
        state = RunState.QUEUED if note == notes[-1] else RunState.RUNNING
        ground.store.save(claimed.lease, noted(claimed, told, note, state), ttl=LEASE)
        claimed, told = moved(claimed), [*told, note]


def notes_of(ground: Ground, run_id: str, upto: int) -> list[Json]:
    return ground.store.read_log(run_id, ground.tenant, "notes", upto)


def test_a_rewound_run_goes_on_from_the_past_and_removes_nothing(ground: Ground) -> None:
    run_id = with_notes(ground, "a", "b", "c")

    ground.rewind(run_id, 1)

    claimed = claim(ground, run_id)
    state = decode(claimed.lease.super_step, claimed.head, claimed.values, lambda _: list)
    assert (claimed.lease.super_step, len(state.channels["notes"])) == (4, 1)
    assert notes_of(ground, run_id, 4) == ["a"]
    assert notes_of(ground, run_id, 3) == ["a", "b", "c"]
    assert "run.rewound" in [kind for _, kind in ground.events(run_id)]


def test_what_comes_after_a_rewind_is_appended_to_what_was_before_it(ground: Ground) -> None:
    run_id = with_notes(ground, "a", "b")
    ground.rewind(run_id, 1)
    go_on(ground, run_id, ["a"], "x", "y")
    ground.rewind(run_id, 4)
    go_on(ground, run_id, ["a", "x"], "z")

    assert notes_of(ground, run_id, ground.run(run_id).super_step) == ["a", "x", "z"]


def test_a_rewind_may_go_back_to_what_a_rewind_left_behind(ground: Ground) -> None:
    run_id = with_notes(ground, "a", "b", "c")
    ground.rewind(run_id, 1)
    ground.rewind(run_id, 3)

    assert notes_of(ground, run_id, 5) == ["a", "b", "c"]


def test_a_rewind_keeps_numbers_contiguous_and_tokens_from_falling(ground: Ground) -> None:
    run_id = with_notes(ground, "a", "b")
    ground.rewind(run_id, 0)
    go_on(ground, run_id, [], "x")

    marks = ground.checkpoints(run_id)

    assert [number for number, _ in marks] == [0, 1, 2, 3, 4]
    assert [token for _, token in marks] == sorted(token for _, token in marks)


def test_the_ledger_of_what_is_left_behind_answers_no_new_question(ground: Ground) -> None:
    run_id = ground.start("a")
    claimed = claim(ground, run_id)
    assert put(ground, claimed, held()) is Put.OK
    ground.store.save(claimed.lease, waiting(claimed, reason=Reason.APPROVAL), ttl=LEASE)

    ground.rewind(run_id, 0)

    again = claim(ground, run_id)
    assert (list(again.ledger), dict(again.kept)) == ([], {})
    assert [approval.state for approval in ground.approvals(run_id)] == ["withdrawn"]
    assert [effect.state for effect in ground.effects(run_id).values()] == ["failed"]


def test_a_worker_from_before_a_rewind_writes_nothing(ground: Ground) -> None:
    run_id = ground.start("a")
    zombie = claim(ground, run_id)
    ground.store.save(zombie.lease, waiting(zombie), ttl=LEASE)
    ground.rewind(run_id, 0)
    claim(ground, run_id, "w2")

    with pytest.raises(LeaseLost):
        ground.store.save(zombie.lease, a_save(zombie), ttl=LEASE)


def test_a_run_that_is_held_or_has_ended_is_not_rewound(ground: Ground) -> None:
    run_id = ground.start("a")
    claimed = claim(ground, run_id)
    with pytest.raises(IllegalMove, match="running"):
        ground.rewind(run_id, 0)

    ground.store.save(claimed.lease, ended(claimed), ttl=LEASE)
    with pytest.raises(IllegalMove, match="cancelled"):
        ground.rewind(run_id, 0)

    assert ground.checkpoints(run_id) == [(0, 0)]
