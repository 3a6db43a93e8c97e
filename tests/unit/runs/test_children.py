"""Children of a run: started once, joined by a policy, called off with whoever started them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from policy.core.call import Autonomy
from policy.core.money import Limits
from runs.agents import (
    ChildLimits,
    ChildrenFailed,
    Context,
    Join,
    Node,
    Program,
    Quorum,
    SpawnRefused,
    SyncContext,
    graph,
)
from runs.errors import InvalidGraph
from runs.testing import Played, play
from runs.testing.playing import BEGINNING


def of(run: Callable[..., Any], name: str = "parent", **more: Any) -> Program:
    shape = graph(Node(name="main", run=run), start="main")
    return Program(**{"name": name, "version": "1", "graph": shape, "agents": ("worker",), **more})


async def work(ctx: Context) -> dict[str, Any]:
    """Double a number; refuse odd ones; sleep for big ones."""
    number: int = ctx.state["input"]
    if number % 2:
        raise ValueError(f"{number} is odd")
    if number >= 100:
        await ctx.sleep(number)
    return {"output": number * 2}


WORKER = of(work, "worker")


def joining(policy: Any, *numbers: int) -> Program:
    async def main(ctx: Context) -> dict[str, Any]:
        children = await ctx.spawn("worker", list(numbers))
        try:
            results = await ctx.join(children, policy)
        except ChildrenFailed as failed:
            return {"output": {"failed": [r.state for r in failed.results]}}
        return {"output": [r.output if r.succeeded else r.state for r in results]}

    return of(main)


def plainly(ctx: SyncContext) -> dict[str, Any]:
    results = ctx.join(ctx.spawn("worker", [2, 4]))
    return {"output": [*[r.output for r in results], ctx.run_agent("worker", 6)]}


def played(program: Program, **more: Any) -> Played:
    return play(program, None, programs=[WORKER], **more)


@pytest.mark.parametrize(
    ("policy", "numbers", "output"),
    [
        (Join.ALL, (2, 4, 6), [4, 8, 12]),
        (Join.PARTIAL, (2, 3, 4), [4, "failed", 8]),
        (Join.ANY, (1, 2, 200), ["failed", 4, "waiting"]),
        (Join.ANY, (1, 3), {"failed": ["failed", "failed"]}),
        (Join.ALL, (200, 1), {"failed": ["waiting", "failed"]}),
        (Quorum(2), (2, 200, 4), [4, "waiting", 8]),
        (Quorum(2), (200, 1, 3), {"failed": ["waiting", "failed", "failed"]}),
    ],
)
def test_a_join_is_decided_by_its_policy_and_calls_the_rest_off(
    policy: Any, numbers: tuple[int, ...], output: Any
) -> None:
    run = played(joining(policy, *numbers))

    assert (run.state, run.output) == ("succeeded", output)
    ended = ["succeeded" if not n % 2 and n < 100 else "failed" for n in numbers]
    expected = ["cancelled" if n >= 100 else e for n, e in zip(numbers, ended, strict=True)]
    assert [child.state for child in run.children] == expected


def test_a_plain_function_spawns_and_joins_too() -> None:
    assert played(of(plainly)).output == [4, 8, 12]


def test_a_join_waits_as_long_as_its_children_do() -> None:
    run = played(joining(Join.ALL, 100, 300))

    assert run.output == [200, 600]
    assert run.clock.now == BEGINNING + timedelta(seconds=300)
    assert ("run.waiting", {"reason": "children", "until": None}) in run.events


@pytest.mark.parametrize("death", range(1, played(joining(Join.ALL, 2, 4)).writes + 1))
def test_a_crash_anywhere_starts_no_child_twice_and_loses_no_join(death: int) -> None:
    run = played(joining(Join.ALL, 2, 4), crash_before_write=death)

    assert (run.state, run.output) == ("succeeded", [4, 8])
    assert [child.state for child in run.children] == ["succeeded", "succeeded"]
    assert [(e.kind, e.state) for e in run.effects] == [("child", "done"), ("join", "done")]


def refused(program: Program) -> str:
    run = played(program)
    assert (run.state, run.children) == ("failed", [])
    assert [(e.kind, e.state) for e in run.effects] == [("child", "failed")]
    return run.error


def spawning(agent: str, *inputs: Any) -> Program:
    async def main(ctx: Context) -> None:
        await ctx.spawn(agent, list(inputs))

    return of(main)


def test_an_agent_that_was_not_granted_is_not_started() -> None:
    assert "policy_denied" in refused(spawning("other", 1))


@pytest.mark.parametrize("count", [0, 1001])
def test_children_are_started_by_the_thousand_at_most(count: int) -> None:
    assert "from 1 to 1000 children" in refused(spawning("worker", *range(count)))


def test_a_run_starts_as_many_as_its_agent_version_may() -> None:
    program = replace(spawning("worker", 2, 4, 6), children=ChildLimits(total=2))

    assert "3 more: a run of this agent starts 2 at most" in refused(program)


@pytest.mark.parametrize("death", range(1, 8))
def test_a_crash_does_not_make_children_too_many(death: int) -> None:
    program = replace(joining(Join.ALL, 2, 4), children=ChildLimits(total=2, at_once=2))

    run = played(program, crash_before_write=death)

    assert (run.state, run.output) == ("succeeded", [4, 8])


@pytest.mark.parametrize("wrong", [{"total": 0}, {"at_once": 10_001}, {"depth": 9}, {"family": 0}])
def test_limits_out_of_their_bounds_are_refused_by_name(wrong: dict[str, int]) -> None:
    with pytest.raises(InvalidGraph, match=next(iter(wrong))):
        ChildLimits(**wrong)


def test_an_unknown_agent_is_refused_by_name() -> None:
    run = play(spawning("worker", 1), None)

    assert run.state == "failed"
    assert "there is no agent 'worker'" in run.error


def test_a_refusal_may_be_caught() -> None:
    async def main(ctx: Context) -> dict[str, Any]:
        try:
            await ctx.spawn("other", [1])
        except SpawnRefused as why:
            return {"output": why.error_class}
        return {}

    assert played(of(main)).output == "policy_denied"


async def again(ctx: Context) -> dict[str, Any]:
    depth: int = ctx.state["input"]
    try:
        return {"output": await ctx.run_agent("worker", depth + 1)}
    except SpawnRefused as why:
        return {"output": f"{depth}: {why.failure.detail}"}


def test_children_of_children_end_at_a_depth() -> None:
    run = play(of(again), 0, programs=[of(again, "worker")])

    assert run.output == "8: children of children end at depth 8"


def waiting_for(agent: str) -> Callable[[Context], Any]:
    async def main(ctx: Context) -> None:
        await ctx.run_agent(agent, 3600)

    return main


def test_a_deadline_reaches_grandchildren() -> None:
    async def sleeping(ctx: Context) -> None:
        await ctx.sleep(3600)

    middle = Program(
        name="worker",
        version="1",
        graph=graph(Node(name="main", run=waiting_for("leaf")), start="main"),
        agents=("leaf",),
    )
    run = play(
        of(waiting_for("worker")),
        None,
        programs=[middle, of(sleeping, "leaf", deadline=timedelta(hours=9))],
        deadline=timedelta(seconds=30),
    )

    assert run.state == "expired"
    assert {child.deadline for child in run.children} == {BEGINNING + timedelta(seconds=30)}
    assert {child.state for child in run.children} <= {"expired", "cancelled"}


async def noting(ctx: Context) -> dict[str, Any]:
    return {"output": await ctx.tool("note", text="x")}


def note(text: str) -> str:
    return text


def handing_on_to(agent: str) -> Callable[[Context], Any]:
    async def main(ctx: Context) -> dict[str, Any]:
        return {"output": await ctx.run_agent(agent, None)}

    return main


@pytest.mark.parametrize(
    ("above", "own", "state", "calls"),
    [
        (Autonomy.OBSERVE, Autonomy.ACT, "failed", 0),
        (Autonomy.ACT, Autonomy.SUGGEST, "failed", 0),
        (Autonomy.ACT, Autonomy.ACT, "succeeded", 1),
    ],
)
def test_spawning_is_no_way_round_a_ceiling(
    above: Autonomy, own: Autonomy, state: str, calls: int
) -> None:
    worker = of(noting, "worker", tools=("note",), autonomy=own)
    middle = of(handing_on_to("worker"), "middle")
    top = of(handing_on_to("middle"), "top", agents=("middle",), autonomy=above)

    run = play(top, None, programs=[middle, worker], tools={"note": note})

    assert (run.state, len(run.calls)) == (state, calls)


def test_children_spend_their_parents_budget_and_a_raise_carries_them_on() -> None:
    worker = of(noting, "worker", tools=("note",))
    run = play(
        joining(Join.ALL, *range(20)),
        None,
        programs=[worker],
        tools={"note": note},
        budget=Limits(tool_calls=7),
    )

    assert (run.state, run.reason, len(run.calls)) == ("waiting", "children", 7)
    assert [str(c.state) for c in run.children].count("paused") == 13

    run.raise_budget("tool_calls", 13)

    assert run.state == "succeeded"
    assert len({call.key for call in run.calls}) == len(run.calls) == 20


def test_cancelling_a_parent_that_waits_leaves_no_orphan() -> None:
    worker = of(noting, "worker", tools=("note",))
    run = play(
        joining(Join.ALL, 1, 2),
        None,
        programs=[worker],
        budget=Limits(tool_calls=0),
        tools={"note": note},
    )

    run.cancel().pass_time(timedelta(seconds=1))

    assert [run.state, *[c.state for c in run.children]] == ["cancelled"] * 3
