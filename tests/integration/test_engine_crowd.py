"""Many workers, many runs, one tenant's money: nothing is lost, doubled, or waits on itself."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from uuid_utils.compat import uuid7

from policy.models import Budget, BudgetScope
from runs.agents import Channel, Context, Node, Program, Reducer, Send, Step, graph
from runs.models import Effect, Run
from tests.integration.engine_room import Room
from tests.unit.runs import desk

RUNS, PARTS, WORKERS = 24, 4, 6


async def divide(_: Context) -> Step:
    return Step(next=tuple(Send(node="part", arg=n) for n in range(PARTS)))


async def part(ctx: Context) -> dict[str, Any]:
    return {"notes": [await ctx.tool("desk.note", text=f"{ctx.run_id} {ctx.arg}")]}


async def count(ctx: Context) -> dict[str, Any]:
    return {"output": len(ctx.state["notes"])}


DIVIDING = Program(
    name="dividing",
    version="1",
    tools=("desk.*",),
    graph=graph(
        Node(name="divide", run=divide),
        Node(name="part", run=part, then=("count",)),
        Node(name="count", run=count),
        start="divide",
        channels={"notes": Channel(reducer=Reducer.LOG)},
    ),
)


@pytest.fixture(autouse=True)
def _new_world() -> None:
    desk.world.forget()


def all_at_work(room: Room) -> None:
    """Let workers take messages, each doubled, until there are none and nobody makes any."""

    def work(_: int) -> None:
        engine = room.engine()
        try:
            while True:
                try:
                    nudge = room.nudges.popleft()
                except IndexError:
                    return
                engine.advance(nudge)
                engine.advance(nudge)
        finally:
            connection.close()

    while room.nudges:
        with ThreadPoolExecutor(WORKERS) as pool:
            list(pool.map(work, range(WORKERS)))


@pytest.mark.parametrize("limit", [None, RUNS * PARTS, RUNS * PARTS // 2])
def test_a_crowd_of_workers_spends_a_tenants_budget_exactly(room: Room, limit: int | None) -> None:
    with room.scope():
        Budget(
            id=uuid7(),
            scope=BudgetScope.TENANT,
            scope_id=UUID(room.ground.tenant),
            tool_calls_limit=limit,
        ).save(force_insert=True)
    for _ in range(RUNS):
        room.start(DIVIDING)

    all_at_work(room)

    with room.scope():
        budget = Budget.objects.get(scope=BudgetScope.TENANT)
        states = Counter(Run.objects.values_list("state", flat=True))
        done = Effect.objects.filter(state="done").count()
    spent = min(RUNS * PARTS, limit or RUNS * PARTS)
    assert (budget.tool_calls_spent, budget.tool_calls_reserved) == (spent, 0)
    assert len(desk.world.calls) == len(desk.world.effects) == done == spent
    assert states.keys() <= {"succeeded", "paused"}
    assert (states["paused"] == 0) == (spent == RUNS * PARTS)
