"""What both stores make of a sleeping run that is taken over to another version of its agent."""

from __future__ import annotations

from typing import Any

import pytest

from runs.agents import Channel, Migration, Node, Program, Reducer, graph, graph_agent
from runs.core.checkpoint import Checkpoint, decode
from runs.core.lifecycle import Reason, RunState
from runs.errors import LeaseLost, Misfit
from runs.ports import Claimed, Put
from tests.contract.builds import a_save, a_tool, ended, held, put, waiting
from tests.contract.grounds import LEASE, Ground, agent_of, claim
from tests.contract.test_store_rewind import go_on, notes_of, with_notes

CHANNELS = {"notes": Channel(reducer=Reducer.LOG), "sum": Channel(reducer=Reducer.SUM)}


def newer(*, gone: str = "", channels: Any = None, **options: Any) -> Program:
    """Version 2 of the agent whose runs start at `a`."""
    agent_of("a")  # its version 1
    nodes = (Node(name=name, run=lambda _: None) for name in "abc" if name != gone)
    start = next(name for name in "abc" if name != gone)
    shape = graph(*nodes, start=start, channels=CHANNELS if channels is None else channels)
    return graph_agent("contract-a", version="2", of=shape, **options)


def state_of(claimed: Claimed) -> Checkpoint:
    return decode(claimed.lease.super_step, claimed.head, claimed.values, lambda _: list)


def test_a_run_between_two_super_steps_goes_on_under_the_new_version(ground: Ground) -> None:
    run_id = with_notes(ground, "x", "y")
    before = ground.checkpoints(run_id)

    ground.migrate(run_id, to=newer())

    claimed = claim(ground, run_id)
    assert ground.checkpoints(run_id) == [*before, (3, before[-1][1])]
    assert claimed.lease.super_step == 3
    assert notes_of(ground, run_id, 3) == ["x", "y"]
    assert [task.id for task in state_of(claimed).tasks] == ["a"]
    assert ground.events(run_id)[-1][1] == "run.migrated"


def test_a_mapping_gives_the_state_that_the_new_version_wants(ground: Ground) -> None:
    run_id = with_notes(ground, "x", "y")
    new = newer(
        gone="a",
        channels={"told": Channel(reducer=Reducer.LOG), "count": Channel()},
        migrates={
            "1": Migration(
                state=lambda old: {
                    "input": old["input"],
                    "told": [*old["notes"], "z"],
                    "count": len(old["notes"]),
                },
                nodes={"a": "b"},
            )
        },
    )

    ground.migrate(run_id, to=new)

    claimed = claim(ground, run_id)
    assert claimed.values == {"input": {"question": 1}, "count": 2}
    assert ground.store.read_log(run_id, ground.tenant, "told", 3) == ["x", "y", "z"]
    assert [(task.id, task.node) for task in state_of(claimed).tasks] == [("b", "b")]
    assert notes_of(ground, run_id, 2) == ["x", "y"]


def test_what_comes_after_a_mapping_is_appended_to_what_it_gave(ground: Ground) -> None:
    run_id = with_notes(ground, "x")
    add = Migration(state=lambda old: {**old, "notes": ["new", *old["notes"]]})
    ground.migrate(run_id, to=newer(migrates={"1": add}))

    go_on(ground, run_id, ["new", "x"], "y")

    assert notes_of(ground, run_id, ground.run(run_id).super_step) == ["new", "x", "y"]


def test_a_run_that_asked_something_keeps_its_place_where_the_node_asks_the_same(
    ground: Ground,
) -> None:
    run_id = ground.start("a")
    claimed = claim(ground, run_id)
    assert put(ground, claimed, held()) is Put.OK
    ground.store.save(claimed.lease, waiting(claimed, reason=Reason.APPROVAL), ttl=LEASE)

    with pytest.raises(Misfit, match="'a' has asked for effects"):
        ground.migrate(run_id, to=newer())
    ground.migrate(run_id, to=newer(migrates={"1": Migration(same=frozenset("a"))}))

    assert (ground.run(run_id).state, ground.run(run_id).reason) == ("interrupted", "approval")
    assert [approval.state for approval in ground.approvals(run_id)] == ["open"]
    ground.decide(ground.approvals(run_id)[0].id, "approve")
    again = claim(ground, run_id)
    assert (again.lease.super_step, len(again.ledger)) == (0, 1)


def test_a_change_of_state_never_begins_a_super_step_anew_that_asked_something(
    ground: Ground,
) -> None:
    run_id = ground.start("a")
    claimed = claim(ground, run_id)
    assert put(ground, claimed, a_tool()) is Put.OK
    ground.store.release(claimed.lease, [])
    how = Migration(same=frozenset("a"), state=lambda old: {**old, "sum": 7})

    with pytest.raises(Misfit, match="must stay as it is"):
        ground.migrate(run_id, to=newer(migrates={"1": how}))

    assert ground.checkpoints(run_id) == [(0, 0)]
    assert "run.migrated" not in [kind for _, kind in ground.events(run_id)]


@pytest.mark.parametrize(
    ("new", "why"),
    [
        ({"gone": "a"}, "node 'a', which the new version does not have"),
        ({"channels": {}}, "there is no channel 'notes'"),
        ({"channels": {"notes": Channel()}}, "merged as log, and now as last"),
        ({"migrates": {"1": lambda _: 1 / 0}}, "its migration failed: ZeroDivisionError"),
        ({"migrates": {"1": lambda _: {"notes": 7}}}, "channel 'notes' holds a list"),
    ],
)
def test_what_does_not_fit_is_left_as_it_is_with_the_reason(
    ground: Ground, new: dict[str, Any], why: str
) -> None:
    run_id = with_notes(ground, "x")
    before = (ground.run(run_id), ground.checkpoints(run_id), ground.events(run_id))

    with pytest.raises(Misfit, match=why):
        ground.migrate(run_id, to=newer(**new))

    assert (ground.run(run_id), ground.checkpoints(run_id), ground.events(run_id)) == before


def test_a_run_that_is_held_or_has_ended_is_not_taken_over(ground: Ground) -> None:
    run_id = ground.start("a")
    claimed = claim(ground, run_id)
    with pytest.raises(Misfit, match="running"):
        ground.migrate(run_id, to=newer())

    ground.store.save(claimed.lease, ended(claimed), ttl=LEASE)
    with pytest.raises(Misfit, match="cancelled"):
        ground.migrate(run_id, to=newer())


def test_a_run_that_was_parked_for_its_version_goes_on_by_itself(ground: Ground) -> None:
    run_id = ground.start("a")
    claimed = claim(ground, run_id)
    ground.store.save(claimed.lease, waiting(claimed, reason=Reason.VERSION), ttl=LEASE)

    ground.migrate(run_id, to=newer())

    assert ground.run(run_id).state == RunState.QUEUED
    assert claim(ground, run_id).lease.super_step == 1


def test_a_worker_from_before_a_migration_writes_nothing(ground: Ground) -> None:
    run_id = ground.start("a")
    zombie = claim(ground, run_id)
    ground.store.save(zombie.lease, waiting(zombie), ttl=LEASE)
    ground.migrate(run_id, to=newer())

    with pytest.raises(LeaseLost):
        ground.store.save(zombie.lease, a_save(zombie), ttl=LEASE)


def test_a_migration_is_undone_while_nobody_has_gone_on(ground: Ground) -> None:
    run_id = with_notes(ground, "x", "y")
    add = Migration(state=lambda old: {**old, "notes": ["new"]})
    ground.migrate(run_id, to=newer(migrates={"1": add}))

    ground.undo_migration(run_id)

    claimed = claim(ground, run_id)
    assert claimed.lease.super_step == 4
    assert notes_of(ground, run_id, 4) == ["x", "y"]
    assert [number for number, _ in ground.checkpoints(run_id)] == [0, 1, 2, 3, 4]
    assert ground.events(run_id)[-1][1] == "run.migration_undone"


def test_a_run_that_has_gone_on_stays_under_the_new_version(ground: Ground) -> None:
    run_id = with_notes(ground, "x")
    ground.migrate(run_id, to=newer())
    claimed = claim(ground, run_id)
    ground.store.save(claimed.lease, waiting(claimed), ttl=LEASE)

    with pytest.raises(Misfit, match="gone on since"):
        ground.undo_migration(run_id)
