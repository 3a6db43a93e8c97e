"""Whatever nodes, tools and models come up with, no run crashes a worker twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from gateway.providers import scripted
from gateway.testing import Line, calls
from policy.core.json import Json
from policy.core.retry import RetryPolicy
from runs.advance import Advanced
from runs.agents import Channel, Context, Node, Program, Reducer, Send, Step, SyncContext, graph
from runs.agents.react import ReactSettings, react
from runs.errors import StoreAway
from runs.ports import Lease, Put, PutEffect, Settled
from runs.process import open_pool
from runs.store import PostgresStore
from tests.integration.engine_room import Room
from tests.unit.runs import desk
from tools.errors import ToolError
from tools.registry import tool

DEEP: Any = "deep"
for _ in range(200):
    DEEP = [DEEP]

STRANGE: dict[str, Any] = {
    "NUL": "a\0b",
    "half a surrogate": "\ud800 and \udfff",
    "NaN": float("nan"),
    "infinity": float("-inf"),
    "a huge number": 10**400,
    "a number of 70 bits": 2**70 + 1,
    "the smallest float": 5e-324,
    "the largest float": 1.7976931348623157e308,
    "minus zero": -0.0,
    "deep": DEEP,
    "an object": object(),
    "bytes": b"\xff",
    "a set": {1, 2},
    "odd keys": {None: 1, 3: 2, "a\0": 4, "": 5},
    "a long text": "é" * 300_000,
}
given: dict[str, Any] = {}


@tool("strange.say", effect="read", risk="low")
def say() -> Any:
    """Give what the test wants."""
    return given["value"]


@tool("strange.raise", effect="read", risk="low")
def fail() -> str:
    """Fail with what the test wants."""
    value = given["value"]
    raise ToolError(value if isinstance(value, str) else str(type(value)))


@pytest.fixture(params=STRANGE)
def strange(request: pytest.FixtureRequest) -> Any:
    """Give a strange value, to the tools too."""
    given["value"] = STRANGE[request.param]
    return given["value"]


def of(run: Any, *more: Node) -> Program:
    shape = graph(
        Node(name="main", run=run),
        *more,
        start="main",
        channels={"notes": Channel(reducer=Reducer.LOG)},
    )
    return Program(
        name="strange", version=shape.digest()[:20], graph=shape, tools=("strange.*", "desk.*")
    )


def at_rest(room: Room, run_id: str, *allowed: str) -> None:
    """The run has ended by itself, at the first attempt, and can be read."""
    seen = room.run(run_id)
    assert seen.state in (allowed or ("succeeded", "failed"))
    assert (seen.crashes, room.nudges) == (0, type(room.nudges)())
    room.events(run_id)


def test_whatever_a_node_writes_is_stored_or_fails_the_run(room: Room, strange: Any) -> None:
    run_id = room.play(of(lambda _: {"output": strange, "notes": [strange]}))

    at_rest(room, run_id)
    assert room.state(run_id) == "succeeded" or room.error(run_id).startswith("validation_error")


def test_whatever_a_node_sends_is_stored_or_fails_the_run(room: Room, strange: Any) -> None:
    def echo(ctx: SyncContext) -> dict[str, Any]:
        return {"output": ctx.arg}

    asked = Step(next=(Send(node="echo", arg=strange), Send(node="echo", arg=1)))
    two = graph(
        Node(name="main", run=lambda _: asked), Node(name="echo", run=_noting), start="main"
    )
    run_id = room.play(
        of(lambda _: Step(next=(Send(node="echo", arg=strange),)), Node(name="echo", run=echo))
    )
    wide = room.play(Program(name="wide", version=two.digest()[:20], graph=two))

    at_rest(room, run_id)
    at_rest(room, wide)


def _noting(_: SyncContext) -> None:
    """Take part in a fan-out."""


@pytest.mark.usefixtures("strange")
def test_whatever_a_tool_returns_comes_back_to_the_node_as_data(room: Room) -> None:
    async def node(ctx: Context) -> dict[str, Any]:
        outcome = await ctx.call("strange.say", {})
        return {"output": type(outcome).__name__}

    run_id = room.play(of(node))

    at_rest(room, run_id, "succeeded")
    assert room.output(run_id) in {"Done", "Failed"}


@pytest.mark.usefixtures("strange")
def test_whatever_a_tool_raises_comes_back_to_the_node_as_data(room: Room) -> None:
    async def node(ctx: Context) -> dict[str, Any]:
        return {"output": type(await ctx.call("strange.raise", {})).__name__}

    run_id = room.play(of(node))

    at_rest(room, run_id, "succeeded")
    assert room.output(run_id) == "Failed"


def test_whatever_a_node_calls_a_tool_with_is_refused_or_asked(room: Room, strange: Any) -> None:
    async def node(ctx: Context) -> dict[str, Any]:
        outcome = await ctx.call("desk.note", {"text": strange, "more": strange})
        return {"output": type(outcome).__name__}

    run_id = room.play(of(node))

    at_rest(room, run_id)


def test_whatever_a_node_names_a_tool_is_no_tool(room: Room, strange: Any) -> None:
    async def node(ctx: Context) -> dict[str, Any]:
        return {"output": type(await ctx.call(strange, {})).__name__}

    run_id = room.play(of(node))

    at_rest(room, run_id)
    assert room.output(run_id) in {"Failed", None}


def test_whatever_a_node_raises_is_told(room: Room, strange: Any) -> None:
    def node(_: SyncContext) -> None:
        raise ValueError(strange)

    run_id = room.play(of(node))

    at_rest(room, run_id, "failed")
    assert room.error(run_id).startswith("internal: main: ValueError")


@pytest.mark.parametrize("place", ["content", "name", "arguments", "tool_calls", "the answer"])
def test_whatever_a_model_answers_the_run_comes_to_an_end(
    room: Room, strange: Any, place: str
) -> None:
    line: Any = strange
    if place == "content":
        line = {"content": strange}
    elif place == "name":
        line = {"content": "", "tool_calls": [{"name": strange, "arguments": {}}]}
    elif place == "arguments":
        line = {"content": "", "tool_calls": [{"name": "desk.note", "arguments": strange}]}
    elif place == "tool_calls":
        line = {"content": "", "tool_calls": strange}

    def answers(messages: Any, _: Any) -> Line:
        return line if len(messages) == 1 else "I see."

    room.model(answers)
    run_id = room.play(react("desk", "1", ReactSettings(model="fast", tools=("desk.*",))), "Hi")
    for _ in range(RetryPolicy().max_attempts):
        if room.state(run_id) == "waiting":  # what made no sense is asked for again
            room.pass_time(run_id, 300)

    at_rest(room, run_id)


def test_a_channel_that_holds_a_foreign_value_survives_a_new_worker(room: Room) -> None:
    value: Json = ["a\0b", 2**70 + 1, 5e-324, -0.0, 1.2345678901234567e19, 1e16, 1e15, 1.0, 0.1]

    async def asks(ctx: Context) -> dict[str, Any]:
        said = await ctx.tool("strange.say")
        await ctx.tool("desk.note", text=repr(said))
        return {"output": said, "notes": said}

    given["value"] = value
    room.apply(
        "rules: [{name: note, decision: require_approval, tools: desk.note},"
        " {name: all, decision: allow}]"
    )
    run_id = room.play(of(asks))
    room.decide(run_id, "approve")

    assert room.state(run_id) == "succeeded", room.error(run_id)
    assert room.output(run_id)[2:4] == [5e-324, 0]


class CutOff(PostgresStore):
    """A store whose connection is cut before its n-th effect is written down."""

    def __init__(self, pool: ConnectionPool, *, before: int) -> None:
        super().__init__(pool)
        self.left = before

    def put_effect(self, lease: Lease, put: PutEffect, before: Sequence[Settled]) -> Put:
        self.left -= 1
        if self.left == 0:
            try:
                with self._pool.connection() as connection:
                    connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
            except psycopg.OperationalError as error:
                raise StoreAway(str(error)) from error
        return super().put_effect(lease, put, before)


@pytest.mark.parametrize("before", [1, 2])
def test_a_database_that_is_away_costs_an_attempt_and_not_the_run(room: Room, before: int) -> None:
    async def node(ctx: Context) -> dict[str, Any]:
        try:
            await ctx.tool("desk.note", text="one")
            return {"output": await ctx.tool("desk.note", text="two")}
        except Exception:  # noqa: BLE001 - as careless agents do
            return {"output": "whatever"}

    desk.world.forget()
    run_id = room.start(of(node))
    with open_pool(2) as pool:
        ended = room.drive(room.engine(store=CutOff(pool, before=before)))

    assert ended == [Advanced.ENDED]
    assert room.run(run_id).crashes == 0
    assert room.output(run_id) == "noted two"
    assert sorted(desk.world.effects.values()) == ["noted one", "noted two"]


def test_a_script_that_is_gone_fails_the_run_and_not_the_worker(room: Room) -> None:
    model = room.model([calls(("desk.read", {"order": 1}))])
    scripted.withdraw(model.model_id)

    run_id = room.play(react("desk", "1", ReactSettings(model="fast")), "Hi")

    at_rest(room, run_id, "failed")
