"""Kill the process before every write to the store, one after the other: the same end each time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from gateway.testing import Line, ScriptedModel
from runs.agents import Channel, Context, Node, Program, Reducer, Send, Step, SyncContext, graph
from runs.testing import Played, play
from tests.unit.runs import desk


async def working(ctx: Context) -> dict[str, Any]:
    """A node as authors write them: it reads, asks, does two things at once, and pays."""
    order = await ctx.tool("desk.read", order=7)
    asked = await ctx.model(f"pay {order['amount']}?")
    await asyncio.gather(ctx.tool("desk.note", text="one"), ctx.tool("desk.note", text="two"))
    paid = await ctx.tool("desk.pay", order=7, amount=order["amount"])
    return {"output": {"said": asked["content"], "paid": paid}}


def working_plainly(ctx: SyncContext) -> dict[str, Any]:
    order = ctx.tool("desk.read", order=7)
    asked = ctx.model(f"pay {order['amount']}?")
    ctx.tool("desk.note", text="one")
    paid = ctx.tool("desk.pay", order=7, amount=order["amount"])
    return {"output": {"said": asked["content"], "paid": paid}}


async def divide(_: Context) -> Step:
    return Step(writes={"log": ["divided"]}, next=tuple(Send(node="part", arg=n) for n in range(3)))


async def part(ctx: Context) -> dict[str, Any]:
    noted = await ctx.tool("desk.note", text=f"part {ctx.arg}")
    return {"log": [noted], "sum": ctx.arg}


async def collect(ctx: Context) -> dict[str, Any]:
    return {"output": [list(ctx.state["log"]), ctx.state["sum"]]}


def of_one_node(run: Callable[..., Any]) -> Program:
    return Program(
        name="one",
        version="1",
        graph=graph(Node(name="main", run=run), start="main"),
        tools=("desk.*",),
    )


DIVIDING = Program(
    name="dividing",
    version="1",
    tools=("desk.*",),
    graph=graph(
        Node(name="divide", run=divide),
        Node(name="part", run=part, then=("collect",)),
        Node(name="collect", run=collect),
        start="divide",
        channels={"log": Channel(reducer=Reducer.LOG), "sum": Channel(reducer=Reducer.SUM)},
    ),
)
AGENTS: dict[str, tuple[Program, list[Line]]] = {
    "react": (desk.a_desk(), desk.SCRIPT),
    "coroutine": (of_one_node(working), ["yes"]),
    "function": (of_one_node(working_plainly), ["yes"]),
    "fan-out": (DIVIDING, []),
}


def served(name: str, *deaths: int) -> tuple[Played, ScriptedModel]:
    """Play an agent, dying before these writes; a person answers what is in doubt."""
    program, script = AGENTS[name]
    model = ScriptedModel(script, model_id="the same each time")
    desk.world.forget()
    played = play(program, "Pay order 7", model=model, crash_before_write=deaths)
    return desk.look_into_the_books(played), model


def end(played: Played) -> Any:
    """What must be the same, whatever crashed on the way."""
    ledger = [(e.key, e.name, e.state, e.outcome, e.error_class) for e in played.effects]
    return played.state, played.error, played.output, played.channels, played.super_steps, ledger


def happened() -> list[Any]:
    return sorted(map(str, desk.world.effects.values()))


@pytest.mark.parametrize("name", AGENTS)
def test_a_crash_before_any_write_changes_nothing_but_attempts(name: str) -> None:
    twin, asked = served(name)
    meant, outside, writes = end(twin), happened(), twin.writes
    calls, questions = len(desk.world.calls), len(asked.heard)
    assert twin.state == "succeeded", twin.error

    for death in range(1, writes + 1):
        played, model = served(name, death)

        assert end(played) == meant, f"crashed before write {death}"
        assert happened() == outside, f"crashed before write {death}"
        assert len(model.heard) <= questions + 1
        assert len(desk.world.calls) <= calls + 2
        assert played.budget.reserved.tool_calls == played.budget.reserved.tokens == 0


@pytest.mark.parametrize("name", AGENTS)
def test_crash_after_crash_comes_to_the_same_end(name: str) -> None:
    twin, _ = served(name)
    meant, outside, writes = end(twin), happened(), twin.writes

    for death in range(1, writes + 1):
        played, _ = served(name, death, death + 1, death + 3)

        assert end(played) == meant, f"crashed before write {death}"
        assert happened() == outside, f"crashed before write {death}"


def test_a_recorded_answer_is_never_paid_for_twice() -> None:
    twin, asked = served("coroutine")
    after_the_answer = twin.writes - 1

    _, model = served("coroutine", after_the_answer)

    assert len(model.heard) == len(asked.heard) == 1


def test_a_call_that_cannot_be_asked_again_goes_to_a_person() -> None:
    program, script = AGENTS["react"]
    in_doubt = []
    for death in range(1, desk.play_desk().writes + 1):
        desk.world.forget()
        played = play(program, "Pay order 7", model=script, crash_before_write=death)
        if played.state == "interrupted":
            in_doubt.append((played.reason, played.approvals[0].kind, played.approvals[0].tool))

    assert in_doubt == [("outcome_unknown", "outcome_unknown", "desk.pay")]


def test_a_process_that_always_dies_at_the_same_place_is_not_followed_for_ever() -> None:
    played = play(
        of_one_node(working), "Pay order 7", model=["yes"], crash_before_write=range(2, 50, 2)
    )

    assert (played.state, played.reason) == ("interrupted", "poison")
