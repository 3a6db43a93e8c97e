"""Families on the real store: money shared, fifty joined, none left behind, nothing twice."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from policy.core.call import Autonomy
from policy.core.money import Limits, Unit
from runs.agents import Children, Context, Node, Program, Reducer, graph
from runs.agents.registry import register
from runs.core.channels import Channel
from runs.models import Run
from tests.integration.engine_room import Room
from tests.integration.test_engine_crowd import all_at_work
from tests.unit.runs import desk

MONEY, MANY = 7, 20


async def note(ctx: Context) -> dict[str, Any]:
    return {"output": await ctx.tool("desk.note", text=f"child {ctx.state['input']}")}


async def spawn_and_join(ctx: Context) -> dict[str, Any]:
    children = await ctx.spawn("noting", list(range(ctx.state["input"])))
    return {"output": [r.output for r in await ctx.join(children)]}


async def begin(ctx: Context) -> dict[str, Any]:
    return {"brood": (await ctx.spawn("noting", [1, 2])).to_json()}


async def gather(ctx: Context) -> dict[str, Any]:
    results = await ctx.join(Children.of(ctx.state["brood"]))
    return {"output": [r.output for r in results]}


NOTING = Program(
    name="noting", version="1", tools=("desk.*",), graph=graph(Node(name="n", run=note), start="n")
)
PARENT = Program(
    name="joining",
    version="1",
    agents=("noting",),
    graph=graph(Node(name="main", run=spawn_and_join), start="main"),
)
TWO_STEPS = Program(
    name="two-steps",
    version="1",
    agents=("noting",),
    graph=graph(
        Node(name="begin", run=begin, then=("gather",)),
        Node(name="gather", run=gather),
        start="begin",
        channels={"brood": Channel(reducer=Reducer.LAST)},
    ),
)


@pytest.fixture(autouse=True)
def _new_world(room: Room) -> None:
    desk.world.forget()
    register(NOTING)
    room.allow_everything()


def children(room: Room, run_id: str) -> list[Run]:
    with room.scope():
        return list(Run.objects.filter(parent_id=run_id))


def test_twenty_children_with_money_for_seven_pay_seven_and_the_rest_after_a_raise(
    room: Room,
) -> None:
    run_id = room.start(PARENT, MANY, budget=Limits(tool_calls=MONEY))
    all_at_work(room)

    assert len(desk.world.calls) == MONEY
    assert Counter(c.state for c in children(room, run_id)) == {
        "succeeded": MONEY,
        "paused": MANY - MONEY,
    }
    assert (room.run(run_id).state, room.run(run_id).reason) == ("waiting", "children")

    room.ground.raise_budget(run_id, Unit.TOOL_CALLS, MANY - MONEY)
    for child in children(room, run_id):
        room.go_on(str(child.id))
    all_at_work(room)

    assert room.state(run_id) == "succeeded"
    assert len(set(desk.world.calls)) == len(desk.world.calls) == MANY


def test_fifty_children_are_joined_once_whoever_works_at_them(room: Room) -> None:
    run_id = room.start(PARENT, 50)

    all_at_work(room)

    assert room.state(run_id) == "succeeded"
    assert len(room.output(run_id)) == 50
    assert Counter(c.state for c in children(room, run_id)) == {"succeeded": 50}
    assert len(desk.world.effects) == len(desk.world.calls) == 50
    assert room.events(run_id).count("run.waiting") <= 2


def test_a_child_acts_under_its_parents_autonomy(room: Room) -> None:
    run_id = room.start(replace(PARENT, autonomy=Autonomy.SUGGEST), 1)

    all_at_work(room)

    (child,) = children(room, run_id)
    assert child.error_class == "policy_denied"
    assert desk.world.calls == []


def test_a_cancelled_parent_leaves_no_child_at_work(room: Room) -> None:
    run_id = room.start(PARENT, 3, budget=Limits(tool_calls=1))
    room.drive()

    room.ground.cancel(run_id)
    for child in children(room, run_id):
        room.go_on(str(child.id))

    assert room.state(run_id) == "cancelled"
    assert Counter(c.state for c in children(room, run_id)) == {"succeeded": 1, "cancelled": 2}
    assert len(desk.world.calls) == 1


def test_a_rewound_parent_starts_new_children_and_calls_the_old_ones_off(room: Room) -> None:
    run_id = room.start(TWO_STEPS, None, budget=Limits(tool_calls=0))
    room.drive()
    old = {child.id for child in children(room, run_id)}

    room.ground.rewind(run_id, 0)
    room.ground.raise_budget(run_id, Unit.TOOL_CALLS, 2)
    room.go_on(run_id)
    for child in children(room, run_id):
        room.go_on(str(child.id))
    room.go_on(run_id)

    states = {child.id: child.state for child in children(room, run_id)}
    assert {states[child] for child in old} == {"cancelled"}
    assert [state for child, state in states.items() if child not in old] == ["succeeded"] * 2
    assert room.state(run_id) == "succeeded"
    assert len(desk.world.calls) == 2
