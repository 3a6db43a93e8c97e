"""Runs that lead nowhere: they fail clearly, or a person says whether they go on."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from gateway.testing import Line
from runs.agents import Channel, Context, LoopGuard, Node, Program, Reducer, Step, graph
from runs.agents.react import ReactSettings, react
from runs.core.guards import NOTHING, WAITED, Watch, trace_of, watched, why_stop
from runs.testing import Played, calls, play
from tests.unit.runs import desk

ASK = LoopGuard(max_repeats=3, max_still=4, on_loop="ask")
FAIL = LoopGuard(max_repeats=3, max_still=4)


@pytest.fixture(autouse=True)
def _new_world() -> None:
    desk.world.forget()


async def looks(ctx: Context) -> Step:
    """Ask for the same again and again, and count."""
    turn = ctx.state["turn"] + 1
    await ctx.tool("desk.read", order=1)
    return Step(writes={"turn": 1, "output": turn}, next=("main",) if turn < 8 else ())


async def idles(ctx: Context) -> Step:
    return Step(writes={"output": "the same"}, next=("main",) if ctx.super_step < 9 else ())


async def polls(ctx: Context) -> Step:
    """Look, and wait a while before it looks again."""
    turn = ctx.state["turn"] + 1
    await ctx.tool("desk.read", order=1)
    await ctx.sleep(60)
    return Step(writes={"turn": 1, "output": turn}, next=("main",) if turn < 8 else ())


async def walks(ctx: Context) -> Step:
    turn = ctx.state["turn"] + 1
    await ctx.tool("desk.read", order=turn)
    return Step(writes={"turn": 1, "output": turn}, next=("main",) if turn < 8 else ())


def of(run: Any, guard: LoopGuard, **more: Any) -> Program:
    shape = graph(
        Node(name="main", run=run),
        start="main",
        channels={"turn": Channel(reducer=Reducer.SUM)},
        guard=guard,
        **more,
    )
    return Program(name="looper", version="1", graph=shape, tools=("desk.*",))


def approvals(played: Played) -> list[tuple[str, str]]:
    return [(row.kind, row.state) for row in played.store.approvals.values()]


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (looks, "the same calls gave the same results 3 times in a row (max_repeats)"),
        (idles, "nothing changed for 4 super-steps in a row (max_still)"),
    ],
)
def test_a_loop_is_a_clear_failure(run: Any, words: str) -> None:
    played = play(of(run, FAIL), None)

    assert played.state == "failed"
    assert played.error == f"human_required: {words}"


@pytest.mark.parametrize("run", [walks, polls])
def test_what_gets_on_or_waits_is_no_loop(run: Any) -> None:
    played = play(of(run, FAIL), None)

    assert (played.state, played.output) == ("succeeded", 8)


def test_where_a_person_is_asked_a_yes_lets_it_go_on_for_as_many_again() -> None:
    played = play(of(looks, ASK), None)
    assert (played.state, played.reason, played.super_steps) == ("interrupted", "approval", 3)
    assert played.approvals[0].kind == "guard"
    assert "max_repeats" in played.approvals[0].reason

    played.approve()
    assert (played.reason, played.super_steps) == ("approval", 6)
    played.approve()

    assert (played.state, played.output) == ("succeeded", 8)
    assert approvals(played) == [("guard", "approved")] * 2
    assert [e.state for e in played.effects if e.kind == "guard"] == ["done", "done"]


def test_a_no_ends_it_and_names_who_said_it() -> None:
    played = play(of(looks, ASK), None).reject("it is stuck")

    assert played.state == "failed"
    assert "stopped by tester: it is stuck" in played.error


def test_nobodys_answer_ends_it() -> None:
    played = play(of(looks, ASK), None).pass_time(timedelta(days=8))

    assert played.state == "failed"
    assert "nobody said in time that it goes on" in played.error


def test_the_bound_of_super_steps_is_asked_about_too() -> None:
    played = play(of(walks, ASK, max_super_steps=5), None)
    assert (played.state, played.super_steps) == ("interrupted", 5)

    assert played.approve().output == 8


def test_the_bound_of_super_steps_moves_by_as_many_again_and_no_more() -> None:
    played = play(of(walks, ASK, max_super_steps=3), None).approve()

    assert (played.state, played.super_steps) == ("interrupted", 6)


def test_a_crash_before_any_write_asks_once_for_each_loop() -> None:
    twin = play(of(looks, ASK), None).approve().approve()
    for death in range(1, twin.writes + 1):
        played = play(of(looks, ASK), None, crash_before_write=death)
        while played.state == "interrupted":
            played = played.approve()

        assert (played.state, played.output) == ("succeeded", 8), death
        assert approvals(played) == [("guard", "approved")] * 2, death


async def divide(_: Context) -> Step:
    return Step(writes={"turn": 1}, next=("left", "right"))


async def side(ctx: Context) -> Step:
    await ctx.tool("desk.read", order=3)
    return Step(next=("collect",))


async def collect(ctx: Context) -> Step:
    return Step(writes={"output": 1}, next=("divide",) if ctx.state["turn"] < 5 else ())


def test_tasks_side_by_side_are_seen_together() -> None:
    shape = graph(
        Node(name="divide", run=divide),
        Node(name="left", run=side),
        Node(name="right", run=side),
        Node(name="collect", run=collect),
        start="divide",
        channels={"turn": Channel(reducer=Reducer.SUM)},
        guard=ASK,
    )
    program = Program(name="sides", version="1", graph=shape, tools=("desk.*",))

    played = play(program, None)

    assert played.approvals[0].kind == "guard"
    assert played.approve().state == "succeeded"


def test_a_react_agent_asks_a_person_where_it_says_so() -> None:
    lines: list[Line] = [*([calls(("desk.read", {"order": 1}))] * 4), "Done."]
    settings = ReactSettings(model="fast", tools=("desk.*",), max_repeats=3, on_loop="ask")

    played = play(react("asker", "1", settings), "look", model=lines)

    assert (played.state, played.reason) == ("interrupted", "approval")
    assert played.approve().output == {"answer": "Done."}


def test_a_trace_is_the_same_whatever_the_order_and_waiting_is_no_loop() -> None:
    assert trace_of(["b", "a"], waited=False) == trace_of(["a", "b"], waited=False)
    assert trace_of([], waited=False) == ""
    assert trace_of(["a"], waited=True) == WAITED
    before = Watch(trace="x", repeats=4, still=3, until=9)
    assert watched(before, [WAITED, "y"], changed=False) == Watch(until=9)


def test_another_call_in_between_begins_to_count_anew() -> None:
    watch = NOTHING
    seen = 0
    for trace in ("a", "a", "", "a", "b"):
        watch = watched(watch, [trace], changed=True)
        if trace == "a":
            seen = watch.repeats
    assert (seen, watch.repeats) == (3, 1)


def test_without_bounds_only_the_super_steps_count() -> None:
    endless = LoopGuard(max_repeats=None, max_still=None)
    watch = Watch(repeats=10**6, still=10**6)

    assert why_stop(endless, watch, 99, 100) is None
    assert why_stop(endless, watch, 100, 100) is not None
