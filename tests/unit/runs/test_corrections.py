"""Reviewers correct what an agent declared reviewable, and the run goes on with that."""

from __future__ import annotations

from typing import Any

import pytest

from policy.errors import InvalidDecision
from runs.agents import Channel, Context, Node, Program, Reducer, graph
from runs.core.checkpoint import Checkpoint, TaskSpec
from runs.core.reconcile import Advance, reconcile
from runs.core.results import Finished
from runs.errors import InvalidGraph
from runs.testing import Played, play
from tests.unit.runs import desk

LIMIT = {"type": "integer", "minimum": 0, "maximum": 100}
RULES = """
rules:
  - {name: asks, decision: require_approval, tools: desk.pay}
"""


def a_payer() -> Program:
    async def look(_: Context) -> dict[str, Any]:
        return {"limit": 50, "seen": ["it"]}

    async def pay(ctx: Context) -> dict[str, Any]:
        await ctx.tool("desk.pay", order=1, amount=5)
        return {"limit": ctx.state["limit"] + 1}

    def tell(ctx: Context) -> dict[str, Any]:
        return {"output": ctx.state["limit"]}

    known = {"limit": Channel(reviewable=LIMIT), "seen": Channel(reducer=Reducer.LOG)}
    shape = graph(
        Node(name="look", run=look, then=("pay",)),
        Node(name="pay", run=pay, then=("tell",)),
        Node(name="tell", run=tell),
        start="look",
        channels=known,
    )
    return Program(name="payer", version="1", graph=shape, tools=("desk.*",))


def asking() -> Played:
    desk.world.forget()
    return play(a_payer(), {}, policy=RULES)


def test_the_next_step_has_what_the_reviewer_said() -> None:
    assert asking().approve(state={"limit": 7}).output == 7


def test_without_a_correction_it_is_what_the_agent_wrote() -> None:
    assert asking().approve().output == 51


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ({"limit": 1000}, "maximum"),
        ({"limit": "much"}, "integer"),
        ({"seen": []}, "not reviewable"),
        ({"nothing": 1}, "not reviewable"),
    ],
)
def test_what_the_schema_does_not_allow_is_refused(state: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidDecision, match=says):
        asking().approve(state=state)


def test_a_log_cannot_be_declared_reviewable() -> None:
    with pytest.raises(InvalidGraph, match="only grows"):
        Channel(reducer=Reducer.LOG, reviewable={"type": "array"})


def test_a_correction_wakes_who_subscribes_to_the_channel_and_is_the_output_at_the_end() -> None:
    def nothing(_: Context) -> None: ...

    shape = graph(
        Node(name="a", run=nothing),
        Node(name="b", run=nothing, subscribes=frozenset({"limit"})),
        start="a",
        channels={"limit": Channel(reviewable=LIMIT), "output": Channel(reviewable={})},
    )
    before = Checkpoint(
        super_step=3,
        channels={"limit": 1},
        written={"limit": 2},
        tasks=(TaskSpec(id="a", node="a"),),
    )
    done = {"a": Finished(writes={})}

    woken = reconcile(shape, before, done, corrections={"limit": 9, "gone": 1})
    ended = reconcile(shape, before, done, corrections={"output": "so"})

    assert isinstance(woken, Advance)
    assert isinstance(ended, Advance)
    assert (woken.checkpoint.channels, woken.writes) == ({"limit": 9}, {"limit": 9})
    assert woken.checkpoint.written == {"limit": 4}
    assert [task.node for task in woken.checkpoint.tasks] == ["b"]
    assert (ended.ended, ended.output) == (True, "so")
