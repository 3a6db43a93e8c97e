"""Cancelling and deadlines, through the real engine."""

from __future__ import annotations

import asyncio
import contextlib
import re
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.urls import reverse

from gateway.testing import calls
from policy.core.money import Amounts, Limits
from runs.advance import Advanced
from runs.agents import Context, Node, Send, Step, graph
from runs.agents.registry import register
from runs.models import Run
from tests.http import Api, a_person, signed_in
from tests.integration.desk_agents import (
    ASK_FIRST,
    a_desk,
    of,
    pay,
)
from tests.integration.engine_room import Room
from tests.unit.runs import desk


@pytest.fixture(autouse=True)
def _new_world() -> None:
    desk.world.forget()


def test_a_queued_run_is_cancelled_before_it_begins(room: Room) -> None:
    run_id = room.start(of(pay))
    room.ground.cancel(run_id)

    ended = room.drive()

    assert ended == [Advanced.HELD_ELSEWHERE]
    assert room.state(run_id) == "cancelled"


def test_a_run_that_waits_is_cancelled_with_its_question(room: Room) -> None:
    room.apply(ASK_FIRST)
    run_id = room.play(of(pay))

    room.ground.cancel(run_id)

    assert room.state(run_id) == "cancelled"
    assert [a.state for a in room.ground.approvals(run_id)] == ["withdrawn"]


def test_a_paused_run_is_cancelled(room: Room) -> None:
    run_id = room.play(of(pay), budget=Limits(tool_calls=0))

    room.ground.cancel(run_id)

    assert room.state(run_id) == "cancelled"


def test_a_run_whose_money_is_exhausted_is_cancelled_where_its_agent_says_so(room: Room) -> None:
    async def share(_: Context) -> Step:
        return Step(next=(Send(node="person"), Send(node="money")))

    async def money(ctx: Context) -> None:
        await ctx.spawn("later", [1])
        await ctx.tool("desk.note", text="one")
        await ctx.tool("desk.note", text="two")

    async def wait(ctx: Context) -> None:
        await ctx.sleep(600)

    room.apply(ASK_FIRST)
    register(of(wait, "later"))
    nodes = (Node(name="share", run=share), Node(name="person", run=pay))
    shape = graph(*nodes, Node(name="money", run=money), start="share")
    frugal = replace(of(pay), graph=shape, agents=("later",), on_exhausted="cancel")

    run_id = room.play(frugal, budget=Limits(tool_calls=1))
    room.sweep(run_id)

    row = room.row(run_id)
    assert (row.state, row.error_class) == ("cancelled", "budget_exceeded")
    assert row.error_detail == (
        "its budget is exhausted: money: "
        "desk.note asks for 1 tool_calls; left is 0 tool_calls in that of the run"
    )
    assert [a.state for a in room.ground.approvals(run_id)] == ["withdrawn"]
    assert list(desk.world.effects.values()) == ["noted one"]
    assert (balance := room.ground.budget(run_id)).reserved == Amounts()
    assert balance.spent == Amounts(tool_calls=1)
    with room.scope():
        assert list(Run.objects.filter(parent_id=run_id).values_list("state", flat=True)) == [
            "cancelled"
        ]


@pytest.mark.parametrize("is_stubborn", [False, True])
def test_a_run_at_work_is_cancelled_at_its_next_effect(room: Room, *, is_stubborn: bool) -> None:
    async def node(ctx: Context) -> dict[str, Any]:
        await ctx.tool("desk.note", text="before")
        await asyncio.to_thread(room.ground.cancel, ctx.run_id)
        with contextlib.suppress(BaseException if is_stubborn else ValueError):
            await ctx.tool("desk.note", text="after")
        return {"output": "never"}

    run_id = room.play(of(node))

    assert (room.state(run_id), room.output(run_id)) == ("cancelled", None)
    assert list(desk.world.effects.values()) == ["noted before"]
    assert [seen.state for seen in room.effects(run_id).values()] == ["done"]


def test_a_fanned_out_run_is_cancelled_when_its_tasks_notice(room: Room) -> None:
    two = calls(("desk.note", {"text": "one"}), ("desk.note", {"text": "two"}))
    room.model([two, "Done."])
    run_id = room.start(a_desk(), "Hi")
    engine = room.engine()
    while len(room.nudges) != 2:
        engine.advance(room.nudges.popleft())
    room.ground.cancel(run_id)

    room.drive()

    assert room.state(run_id) == "cancelled"
    assert desk.world.calls == []


def test_a_deadline_ends_a_node_in_the_middle_of_its_work(room: Room) -> None:
    async def node(ctx: Context) -> dict[str, Any]:
        await ctx.tool("desk.note", text="before")
        await asyncio.Event().wait()
        return {"output": "never"}

    run_id = room.play(of(node), deadline=timedelta(seconds=2))

    assert room.state(run_id) == "expired"
    assert [seen.state for seen in room.effects(run_id).values()] == ["done"]


def test_a_deadline_stops_while_a_person_decides_where_the_agent_says_so(room: Room) -> None:
    tenant = UUID(room.ground.tenant)
    api, person = Api(tenant, "operator"), signed_in(a_person(tenant, "admin"), tenant)
    room.apply(ASK_FIRST)
    patient = replace(of(pay), deadline_stops_for_people=True)

    run_id = room.play(patient, deadline=timedelta(minutes=10))
    room.pass_time(run_id, 1800)
    waits = api.get(f"/api/v1/runs/{run_id}").json()
    page = person.get(reverse("console-run", args=[run_id])).content.decode()
    room.decide(run_id, "approve")
    after = api.get(f"/api/v1/runs/{run_id}").json()
    ended = person.get(reverse("console-run", args=[run_id])).content.decode()

    assert (waits["state"], waits["deadline"]) == ("interrupted", None)
    assert waits["deadline_stops_for_people"] is True
    assert 500 < waits["deadline_left"] <= 600
    assert re.search(r"stands still, (9 min \d+ s|10 min) left", page)
    assert (after["state"], after["deadline_left"]) == ("succeeded", None)
    assert after["deadline"] is not None
    assert "stops while a person must act" not in page + ended


def test_the_page_of_a_run_says_whether_its_deadline_stops_for_people(room: Room) -> None:
    tenant = UUID(room.ground.tenant)
    person = signed_in(a_person(tenant, "admin"), tenant)

    async def sleep(ctx: Context) -> None:
        await ctx.sleep(60)

    def page_of(*, stops: bool) -> str:
        program = replace(of(sleep), deadline_stops_for_people=stops)
        run_id = room.play(program, deadline=timedelta(minutes=10))
        assert room.state(run_id) == "waiting"
        return person.get(reverse("console-run", args=[run_id])).content.decode()

    assert "stops while a person must act" in page_of(stops=True)
    assert "stops while a person must act" not in page_of(stops=False)


def test_a_deadline_with_no_time_left_is_shown(room: Room) -> None:
    tenant = UUID(room.ground.tenant)
    room.apply(ASK_FIRST)
    patient = replace(of(pay), deadline_stops_for_people=True)
    run_id = room.play(patient, deadline=timedelta(minutes=10))
    with room.scope():
        Run.objects.filter(pk=run_id).update(deadline_left=timedelta(0))

    assert Api(tenant, "operator").get(f"/api/v1/runs/{run_id}").json()["deadline_left"] == 0.0


def test_a_deadline_passes_for_a_run_that_waits(room: Room) -> None:
    room.apply(ASK_FIRST)
    run_id = room.play(of(pay), deadline=timedelta(minutes=10))

    room.pass_time(run_id, 601)

    assert room.state(run_id) == "expired"
    assert room.events(run_id)[-1] == "run.expired"


def test_a_run_that_is_begun_too_late_asks_for_nothing(room: Room) -> None:
    run_id = room.start(of(pay), deadline=timedelta(minutes=10))
    room.ground.pass_time(run_id, 601)

    room.drive()

    assert room.state(run_id) == "expired"
    assert desk.world.calls == []
