"""A recorded run is executed again from its rows: the same, and nothing is called."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from policy.core.actor import SYSTEM
from policy.models import Tenant
from runs.agents import Channel, Context, Node, Program, Reducer, Send, Step, graph
from runs.agents.versions import add_react_version
from runs.models import Effect
from runs.operations.replay import Replayed, replay_run
from runs.operations.start import StartRun, start_run
from tests.http import Api
from tests.integration.engine_room import Room
from tests.integration.test_set_up_commands import Refused, operator, said  # noqa: F401
from tests.integration.test_time_travel import held
from tests.unit.runs import desk


@pytest.fixture(autouse=True)
def _new_world() -> None:
    desk.world.forget()


def replayed(room: Room, run_id: str) -> Replayed:
    """Replay a run, and see that nothing was called."""
    before = list(desk.world.calls)
    with room.scope():
        found = replay_run(UUID(run_id))
    assert desk.world.calls == before
    return found


def test_a_conversation_comes_out_the_same(room: Room) -> None:
    model = room.model(desk.SCRIPT)
    run_id = room.play(desk.a_desk(), "Pay order 7")
    asked = len(model.heard)

    found = replayed(room, run_id)

    assert found.first_difference is None
    assert found.super_steps == room.run(run_id).super_step
    assert len(model.heard) == asked


def test_a_rewound_run_and_a_fork_of_it_come_out_the_same(room: Room) -> None:
    run_id = held(room)
    api = Api(UUID(room.ground.tenant))
    api.post(f"/api/v1/runs/{run_id}/rewind", {"super_step": 1, "accept_irreversible": True})
    room.go_on(run_id)
    room.decide(run_id, "approve")
    fork = api.post(f"/api/v1/runs/{run_id}/fork", {"super_step": 3}).json()["run"]["id"]
    room.go_on(fork)
    room.decide(fork, "approve")

    assert (replayed(room, run_id).first_difference, replayed(room, run_id).super_steps) == (
        None,
        5,
    )
    assert (replayed(room, fork).first_difference, replayed(room, fork).super_steps) == (None, 2)


async def spread(_: Context) -> Step:
    return Step(next=tuple(Send(node="one", arg=n) for n in range(3)))


async def one(ctx: Context) -> dict[str, Any]:
    return {"notes": [await ctx.tool("desk.note", text=str(ctx.arg))]}


def fanning(name: str = "fan", of: Callable[..., Any] = one) -> Program:
    shape = graph(
        Node(name="spread", run=spread),
        Node(name="one", run=of),
        start="spread",
        channels={"notes": Channel(reducer=Reducer.LOG)},
    )
    return Program(name=name, version="1", graph=shape, tools=("desk.*",))


def test_a_fan_out_comes_out_the_same(room: Room) -> None:
    run_id = room.play(fanning())

    found = replayed(room, run_id)

    assert (found.first_difference, found.super_steps) == (None, 2)
    assert len(desk.world.calls) == 3


@pytest.mark.parametrize(
    ("changed", "words"),
    [("text", "another question"), ("more", "the ledger does not answer"), ("write", "but now")],
)
def test_a_node_that_does_something_else_now_is_found(room: Room, changed: str, words: str) -> None:
    now = ""

    async def node(ctx: Context) -> dict[str, Any]:
        noted = await ctx.tool("desk.note", text=f"{now if now == 'text' else ''}{ctx.arg}")
        if now == "more":
            await ctx.tool("desk.note", text="one more")
        return {"notes": [noted, now] if now == "write" else [noted]}

    run_id = room.play(fanning(f"changing-{changed}", node))
    assert replayed(room, run_id).first_difference is None

    now = changed
    found = replayed(room, run_id)

    assert found.first_difference is not None
    assert words in found.first_difference
    assert found.super_steps == 1


def test_the_command_says_it_in_its_last_line_and_by_its_exit(room: Room) -> None:
    room.model(desk.SCRIPT)
    with room.scope():
        slug = Tenant.objects.get(pk=room.ground.tenant).slug
        add_react_version("clerk-of-rows", "1", {"model": "fast", "tools": ["desk.*"]})
        command = StartRun(agent="clerk-of-rows", input={"request": "Pay order 7"}, by=SYSTEM)
        run_id = str(start_run(command, now=room.now()))
    room.go_on(run_id)

    last = json.loads(said("replay", run_id, "--tenant", slug).splitlines()[-1])

    assert room.state(run_id) == "succeeded", room.error(run_id)
    assert (last["run"], last["same"]) == (run_id, True)
    assert last["super_steps"] == room.run(run_id).super_step
    assert len(last["digest"]) == 64
    with room.scope():
        Effect.objects.filter(run_id=run_id, name="desk.note").update(outcome={"value": "other"})
    with pytest.raises(Refused):  # exit 1
        said("replay", run_id, "--tenant", slug)
    with pytest.raises(Refused, match="there is no run"):
        said("replay", str(UUID(int=7)), "--tenant", slug)
