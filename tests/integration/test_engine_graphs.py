"""Shapes of work, through the real engine: what comes after what, and what is joined."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from runs.advance import Advanced, Burst
from runs.agents import Channel, Context, Node, Program, Reducer, Send, Step, SyncContext, graph
from runs.agents.react import ReactSettings, react
from tests.integration.engine_room import Room
from tests.unit.runs import desk

CHANNELS = {
    "notes": Channel(reducer=Reducer.LOG),
    "total": Channel(reducer=Reducer.SUM),
    "facts": Channel(reducer=Reducer.MERGE),
}


def of(*nodes: Node, start: str | tuple[str, ...] = "a", **options: Any) -> Program:
    shape = graph(*nodes, start=start, channels=CHANNELS, **options)
    return Program(name="shape", version=shape.digest()[:20], graph=shape, tools=("desk.*",))


def says(text: str, **more: Any) -> Any:
    """A node that writes one note."""
    return lambda _: {"notes": [text], **more}


def tell(ctx: SyncContext) -> dict[str, Any]:
    state = ctx.state
    return {"output": [list(state["notes"]), state["total"], state["facts"]]}


@pytest.fixture(autouse=True)
def _new_world() -> None:
    desk.world.forget()


def test_a_pipeline_runs_in_its_order(room: Room) -> None:
    run_id = room.play(
        of(
            Node(name="a", run=says("a", total=1), then=("b",)),
            Node(name="b", run=says("b", total=2), then=("c",)),
            Node(name="c", run=tell),
        )
    )

    assert room.output(run_id) == [["a", "b"], 3, {}]
    assert room.ground.checkpoints(run_id) == [(0, 0), (1, 1), (2, 1), (3, 1)]
    assert room.events(run_id)[-1] == "run.succeeded"


def test_branches_run_beside_each_other_and_are_joined_in_their_order(room: Room) -> None:
    run_id = room.play(
        of(
            Node(name="a", run=says("a"), then=("left", "right")),
            Node(name="left", run=says("left", facts={"by": "left"}), then=("end",)),
            Node(name="right", run=says("right", facts={"by": "right"}), then=("end",)),
            Node(name="end", run=tell),
        )
    )

    assert room.output(run_id) == [["a", "left", "right"], 0, {"by": "right"}]


def test_a_cycle_goes_round_until_it_is_left(room: Room) -> None:
    def again(ctx: SyncContext) -> Step:
        count = ctx.state["total"] + 1
        return Step(writes={"total": 1}, next=("a",) if count < 30 else ("end",))

    run_id = room.play(of(Node(name="a", run=again), Node(name="end", run=tell)))

    assert room.output(run_id) == [[], 30, {}]
    assert len(room.ground.checkpoints(run_id)) == 32


def test_a_subscriber_runs_after_each_write_it_waits_for(room: Room) -> None:
    def watch(ctx: SyncContext) -> dict[str, Any]:
        return {"total": len(ctx.state["notes"])}

    run_id = room.play(
        of(
            Node(name="a", run=says("a"), then=("b",)),
            Node(name="b", run=says("b"), then=("c",)),
            Node(name="c", run=tell),
            Node(name="watch", run=watch, subscribes=frozenset({"notes"})),
        )
    )

    assert room.state(run_id) == "succeeded"
    assert room.output(run_id) == [["a", "b"], 1, {}]


def test_a_fan_out_gives_every_task_its_own_argument(room: Room) -> None:
    async def part(ctx: Context) -> dict[str, Any]:
        noted = await ctx.tool("desk.note", text=f"part {ctx.arg}")
        return {"notes": [noted], "total": ctx.arg}

    run_id = room.play(
        of(
            Node(
                name="a", run=lambda _: Step(next=tuple(Send(node="part", arg=n) for n in range(4)))
            ),
            Node(name="part", run=part, then=("end",)),
            Node(name="end", run=tell),
        )
    )

    assert room.output(run_id) == [[f"noted part {n}" for n in range(4)], 6, {}]
    assert sorted(room.effects(run_id)) == [f"/1/part.{n}/0" for n in range(4)]


def test_tasks_of_a_super_step_are_at_work_at_the_same_time(room: Room) -> None:
    meeting = threading.Barrier(3, timeout=20)

    def part(_: SyncContext) -> dict[str, Any]:
        meeting.wait()
        return {"total": 1}

    run_id = room.start(
        of(
            Node(name="a", run=part, then=("end",)),
            Node(name="b", run=part, then=("end",)),
            Node(name="c", run=part, then=("end",)),
            Node(name="end", run=tell),
            start=("a", "b", "c"),
        )
    )
    fanned_out = room.engine().advance(room.nudges.popleft())

    with ThreadPoolExecutor(3) as pool:
        ended = list(pool.map(lambda n: room.engine().advance(n), list(room.nudges)))

    assert fanned_out is Advanced.FANNED_OUT
    assert sorted(ended) == [Advanced.ENDED, Advanced.KEPT, Advanced.KEPT]
    assert room.output(run_id) == [[], 3, {}]


def test_every_task_sees_the_state_before_its_super_step(room: Room) -> None:
    def look(ctx: SyncContext) -> dict[str, Any]:
        ctx.state["facts"]["mine"] = True
        return {"notes": [sorted(ctx.state["facts"])], "facts": {f"by {id(ctx)}": 1}}

    run_id = room.play(
        of(
            Node(name="a", run=look, then=("end",)),
            Node(name="b", run=look, then=("end",)),
            Node(name="end", run=tell),
            start=("a", "b"),
        )
    )

    assert room.output(run_id)[0] == [[], []]


def test_one_message_carries_a_run_only_so_far(room: Room) -> None:
    def again(ctx: SyncContext) -> Step:
        return Step(writes={"total": 1}, next=("a",) if ctx.state["total"] < 5 else ("end",))

    run_id = room.start(of(Node(name="a", run=again), Node(name="end", run=tell)))
    engine = room.engine(burst=Burst(super_steps=1, seconds=60))

    ended = room.drive(engine)

    assert ended == [Advanced.CHAINED] * 6 + [Advanced.ENDED]
    assert room.output(run_id) == [[], 6, {}]
    tokens = [token for _, token in room.ground.checkpoints(run_id)]
    assert tokens == list(range(8))


def test_a_loop_without_an_end_is_stopped_by_its_bound(room: Room) -> None:
    run_id = room.play(of(Node(name="a", run=says("a"), then=("a",)), max_super_steps=12))

    assert room.error(run_id).startswith("human_required: no end after 12 super-steps")


def test_a_late_or_doubled_message_changes_nothing(room: Room) -> None:
    run_id = room.start(of(Node(name="a", run=tell)))
    nudge = room.nudges[0]
    room.nudges.extend([nudge, nudge])

    ended = room.drive()

    assert ended == [Advanced.ENDED, Advanced.HELD_ELSEWHERE, Advanced.HELD_ELSEWHERE]
    assert room.events(run_id).count("run.succeeded") == 1


def test_a_react_agent_works_with_the_tenants_own_model(room: Room) -> None:
    model = room.model(desk.SCRIPT)
    program = react("desk", "1", ReactSettings(model="fast", tools=("desk.*",)))

    run_id = room.play(program, {"message": "Pay order 7"})

    assert room.output(run_id) == {"answer": "Order 7 was paid."}
    assert [m["content"] for m in room.messages(run_id) if m["role"] == "tool"] == [
        '{"amount":47,"order":7}',
        "noted seen",
        "paid 47 for 7",
    ]
    assert len(model.heard) == 3
    assert room.ground.budget(run_id).spent.tool_calls == 3


def test_the_crash_of_one_branch_repeats_only_that_branch(room: Room) -> None:
    run_id = room.start(
        of(
            Node(name="a", run=_noting("a"), then=("end",)),
            Node(name="b", run=_noting("b"), then=("end",)),
            Node(name="end", run=tell),
            start=("a", "b"),
        )
    )
    engine = room.engine()
    engine.advance(room.nudges.popleft())
    crashed = room.nudges.pop()
    room.ground.store.claim_task(crashed, worker="the dead", ttl=60)
    room.drive()
    before = list(desk.world.calls)

    room.pass_time(run_id, 61)

    assert room.output(run_id) == [["noted a", "noted b"], 0, {}]
    assert len(before) == 1
    assert len(desk.world.calls) == 2


def _noting(text: str) -> Any:
    async def note(ctx: Context) -> dict[str, Any]:
        return {"notes": [await ctx.tool("desk.note", text=text)]}

    return note
