"""What a run was given and told: both stores give the same material of provenance."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from runs.core.effects import EffectKind, EffectState, Place
from runs.core.lifecycle import RunState
from runs.core.told import Told
from runs.ports import Claimed
from tests.contract.broods import NOTHING, a_brood
from tests.contract.builds import FIRST, a_model, a_save, a_tool, done, held, moved, put
from tests.contract.grounds import LEASE, Ground, claim
from tests.contract.test_store_migrating import newer
from tests.contract.test_store_rewind import noted

SIXTY_FIVE_KILOBYTES = 65 * 1024


def read(ground: Ground, claimed: Claimed, after: int = 0) -> Told:
    return ground.store.read_told(claimed.lease, after)


def names(told: Told) -> list[tuple[int, str]]:
    return [(line["super_step"], line["name"]) for line in told.effects]


def step(ground: Ground, claimed: Claimed, name: str, outcome: Any = "ok") -> Claimed:
    """One super-step in which a tool was called and answered."""
    place = Place(claimed.lease.super_step, "a", 0)
    put(ground, claimed, a_tool(place, name=name, decision={"label": "trusted_tool"}))
    settled = replace(done(place), outcome={"value": outcome})
    ground.store.save(claimed.lease, a_save(claimed, effects=[settled]), ttl=LEASE)
    return moved(claimed)


def test_a_run_begins_with_its_input_and_nothing_told(ground: Ground) -> None:
    claimed = claim(ground, ground.start("a"))

    assert read(ground, claimed) == Told(given={"question": 1}, skipped=[], effects=[])


def test_what_tools_gave_in_earlier_super_steps_is_told_and_no_model_s_answer(
    ground: Ground,
) -> None:
    claimed = claim(ground, ground.start("a"))
    put(ground, claimed, a_model(Place(0, "a", 1)))
    put(ground, claimed, a_tool(Place(0, "a", 2), name="asked.only", state=EffectState.RETRYING))
    claimed = step(ground, claimed, "crm.read", {"mail": "a@b.c"})
    now = put(ground, claimed, a_tool(Place(1, "a", 0), name="now"))
    told = read(ground, claimed)

    assert now == "ok"
    assert names(told) == [(0, "crm.read"), (0, "asked.only")]
    assert told.effects[0] == {
        "super_step": 0,
        "task": "a",
        "ordinal": 0,
        "kind": "tool",
        "name": "crm.read",
        "effect": "once",
        "state": "done",
        "sent": True,
        "outcome": {"value": {"mail": "a@b.c"}},
        "long": False,
        "arguments": {"order": 1},
        "label": "trusted_tool",
        "approval": None,
    }
    assert told.effects[1]["sent"] is False


def test_only_what_came_since_is_read_again(ground: Ground) -> None:
    claimed = claim(ground, ground.start("a"))
    claimed = step(ground, step(ground, claimed, "first"), "second")

    assert names(read(ground, claimed, 1)) == [(1, "second")]


def test_a_long_result_is_told_as_such_and_not_given(ground: Ground) -> None:
    claimed = claim(ground, ground.start("a"))
    claimed = step(ground, claimed, "long", "x" * SIXTY_FIVE_KILOBYTES)
    line = read(ground, claimed).effects[0]

    assert (line["long"], line["outcome"]) == (True, None)


def test_what_a_person_approved_is_told(ground: Ground) -> None:
    run_id = ground.start("a")
    claimed = claim(ground, run_id)
    put(ground, claimed, held())
    ground.decide(ground.approvals(run_id)[0].id, "approve")
    ground.store.save(claimed.lease, a_save(claimed), ttl=LEASE)
    line = read(ground, moved(claimed)).effects[0]

    assert (line["approval"], line["sent"]) == ("approved", False)


def test_what_a_rewind_left_behind_was_never_told(ground: Ground) -> None:
    run_id = ground.start("a")
    claimed = step(ground, step(ground, claim(ground, run_id), "kept"), "left")
    last = noted(claimed, [], "set aside", RunState.QUEUED)
    ground.store.save(claimed.lease, last, ttl=LEASE)
    ground.rewind(run_id, 1)
    claimed = claim(ground, run_id)
    told = read(ground, claimed)

    assert names(told) == [(0, "kept")]
    assert [list(ends) for ends in told.skipped] == [[2, 3]]


def test_what_was_told_before_a_migration_of_the_state_is_told(ground: Ground) -> None:
    run_id = ground.start("a")
    claimed = step(ground, claim(ground, run_id), "read")
    ground.store.save(claimed.lease, noted(claimed, [], "more", RunState.QUEUED), ttl=LEASE)
    ground.migrate(run_id, to=newer(migrates={"1": lambda old: {**old, "sum": 7}}))

    assert names(read(ground, claim(ground, run_id))) == [(0, "read")]


def test_a_child_is_told_what_its_parent_s_ledger_says_of_its_input(ground: Ground) -> None:
    claimed = claim(ground, ground.start("a"))
    brood = a_brood(claimed)
    ids = [child.id for child in brood.children]
    wish = a_tool(
        FIRST,
        kind=EffectKind.CHILD,
        state=EffectState.DONE,
        reserve=NOTHING,
        outcome={"value": {"join": brood.join_id, "runs": ids}},
        decision={"handed": {"tainted": True, "trusted": [[], ["/question"]]}},
    )
    ground.store.spawn(claimed.lease, wish, brood, [])
    told = read(ground, claim(ground, ids[1]))

    assert told.is_child
    assert told.handed == {"tainted": True, "trusted": ["/question"]}
    assert (told.given, told.own) == ({"question": 1}, {"question": 1})
