"""What becomes of a run whose budget is exhausted: its agent says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from policy.core.money import Limits
from runs.agents import Context, Join, Node, Program, Send, Step, agent, code_agents, graph
from runs.agents.compensation import compensation
from runs.agents.react import ReactSettings, react, settings_of
from runs.agents.registry import apart
from runs.core.graph import Graph
from runs.errors import InvalidGraph, InvalidInput
from runs.testing import play
from tests.unit.runs import desk

ONE = Limits(model_calls=1)
RULES = """
rules:
  - {name: payments, decision: require_approval, tools: desk.pay}
  - {name: everything, decision: allow}
"""


@pytest.fixture(autouse=True)
def _new_world() -> None:
    desk.world.forget()


def said(*_: Any) -> str:
    return "yes"


async def asking(ctx: Context) -> dict[str, Any]:
    await ctx.tool("desk.note", text="before")
    first = await ctx.model("one")
    return {"output": [first["content"], (await ctx.model("two"))["content"]]}


def of(run: Callable[..., Any] | Graph, name: str = "frugal", **more: Any) -> Program:
    shape = run if isinstance(run, Graph) else graph(Node(name="main", run=run), start="main")
    declared = {"tools": ("desk.*",), "agents": ("*",), "model": "fast", "on_exhausted": "cancel"}
    return Program(**{"name": name, "version": "1", "graph": shape, **declared, **more})


def test_it_is_cancelled_where_its_agent_says_so_and_what_it_did_stands() -> None:
    played = play(of(asking), None, model=said, budget=ONE)

    assert played.state == "cancelled"
    assert played.error == (
        "budget_exceeded: its budget is exhausted: main: "
        "fast asks for 1 model_calls; left is 0 model_calls in that of the run"
    )
    assert [(e.name, e.state) for e in played.effects] == [("desk.note", "done"), ("fast", "done")]
    assert played.events[-1][0] == "run.cancelled"


def test_it_pauses_and_a_raise_lets_it_go_on_where_nothing_is_said() -> None:
    played = play(of(asking, on_exhausted="pause"), None, model=said, budget=ONE)
    paused = played.state, played.reason

    played.raise_budget("model_calls", 1)

    assert paused == ("paused", "budget")
    assert (played.state, played.output) == ("succeeded", ["yes", "yes"])


def errands(first: Callable[..., Any]) -> Graph:
    async def share(_: Context) -> Step:
        return Step(next=(Send(node="person"), Send(node="money")))

    async def person(ctx: Context) -> None:
        await first(ctx)

    async def money(ctx: Context) -> None:
        await ctx.model("one")
        await ctx.model("two")

    nodes = (Node(name=run.__name__, run=run) for run in (share, person, money))
    return graph(*nodes, start="share")


async def pays(ctx: Context) -> None:
    await ctx.tool("desk.pay", order=1, amount=5)


def test_a_task_without_money_ends_a_run_whose_other_tasks_wait_for_people() -> None:
    played = play(of(errands(pays)), None, model=said, budget=ONE, policy=RULES)

    assert played.state == "cancelled"
    assert "money: fast asks for 1 model_calls" in played.error
    assert played.approvals == []
    assert [(e.name, e.state) for e in played.effects if e.name == "desk.pay"] == [
        ("desk.pay", "failed")
    ]
    assert desk.world.effects == {}


def test_one_that_pauses_shows_the_person_first_and_the_money_afterwards() -> None:
    program = of(errands(pays), on_exhausted="pause")

    played = play(program, None, model=said, budget=ONE, policy=RULES)

    assert (played.state, played.reason) == ("interrupted", "approval")


def test_a_wait_within_the_same_task_does_not_hide_what_lacks() -> None:
    async def main(ctx: Context) -> None:
        await asyncio.gather(pays(ctx), ctx.model("one"))

    played = play(of(main), None, model=said, budget=Limits(model_calls=0), policy=RULES)

    assert (played.state, played.approvals) == ("cancelled", [])


def test_a_child_ends_by_its_own_agent_s_word_and_its_parent_is_told() -> None:
    async def main(ctx: Context) -> dict[str, Any]:
        results = await ctx.join(await ctx.spawn("child", [1]), Join.PARTIAL)
        return {"output": [(r.state, r.error_class) for r in results]}

    child = of(asking, "child", budget=ONE)
    played = play(of(main, on_exhausted="pause"), None, model=said, programs=[child])

    assert played.output == [["cancelled", "budget_exceeded"]]


def test_children_are_called_off_with_a_parent_that_gives_up() -> None:
    async def main(ctx: Context) -> None:
        await ctx.spawn("child", [1])
        await asking(ctx)

    async def dawdle(ctx: Context) -> None:
        await ctx.sleep(600)

    played = play(of(main), None, model=said, budget=ONE, programs=[of(dawdle, "child")])
    played.pass_time(timedelta(seconds=1))

    assert [child.state for child in played.children] == ["cancelled"]


def test_a_run_that_undoes_what_another_did_waits_for_money() -> None:
    assert compensation("frugal", "c", {"tools": ["desk.*"]}).on_exhausted == "pause"


def test_it_is_declared_where_agents_are_and_stands_in_the_version() -> None:
    with apart():

        @agent("declared", version="1", on_exhausted="cancel")
        async def declared(_ctx: Context, _given: str) -> str:
            return "done"

        program = code_agents()["declared", "1"]
    settings = settings_of({"model": "fast", "on_exhausted": "cancel"})

    assert program.definition()["on_exhausted"] == "cancel"
    assert react("row", "1", settings).on_exhausted == "cancel"
    assert settings_of({"model": "fast"}) == ReactSettings(model="fast", on_exhausted="pause")


def test_another_word_is_refused_where_it_is_declared() -> None:
    with pytest.raises(InvalidGraph, match="pause or cancel"):
        of(asking, on_exhausted="stop")
    with pytest.raises(InvalidInput, match="on_exhausted"):
        settings_of({"model": "fast", "on_exhausted": "stop"})
