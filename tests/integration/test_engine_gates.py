"""Runs that meet a breaker or a limit: they wait, holding nothing, and go on."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from django.test import override_settings
from django.utils import timezone

from policy.core.actor import SYSTEM
from policy.core.retry import RetryPolicy
from policy.operations.limits import SetLimit, add_limit
from runs.agents import Context, Node, Program, graph
from runs.operations.hold_breaker import hold_breaker
from runs.queries.breakers import breakers
from tests.contract.grounds import SeenRun
from tests.http import Api
from tests.integration.engine_room import Room
from tools.registry import tool

state: dict[str, Any] = {}


@tool("shaky.read", effect="read", risk="low")
def shaky_read() -> str:
    """Answer, or be away, as the test wants."""
    state["calls"] = state.get("calls", 0) + 1
    if state.get("down"):
        raise ConnectionError("away")
    return "well"


@pytest.fixture(autouse=True)
def _new_world() -> None:
    state.clear()


async def reads(ctx: Context) -> dict[str, Any]:
    return {"output": await ctx.tool("shaky.read")}


async def reads_five(ctx: Context) -> dict[str, Any]:
    return {"output": [await ctx.tool("shaky.read") for _ in range(5)]}


def agent(run: Any = reads) -> Program:
    node = Node(name="main", run=run, retry=RetryPolicy(max_attempts=20))
    shape = graph(node, start="main")
    return Program(name="reader", version="1", graph=shape, tools=("shaky.*",))


def until(room: Room, run_id: str, reached: Callable[[SeenRun], bool]) -> None:
    """Let time pass, the run's and Redis's, until the run got there."""
    for _ in range(60):
        if reached(room.run(run_id)):
            return
        time.sleep(0.2)
        room.pass_time(run_id, 300)


def test_a_run_that_needs_an_open_breaker_is_parked_and_goes_on(room: Room) -> None:
    state["down"] = True
    run_id = room.play(agent())
    until(room, run_id, lambda run: run.reason == "breaker")
    parked, asked = room.run(run_id), state["calls"]
    state["down"] = False
    with override_settings(BREAKER_SECONDS=0.1):
        until(room, run_id, lambda run: run.state == "succeeded")

    assert (parked.state, parked.reason) == ("waiting", "breaker")
    assert asked == 5
    assert room.output(run_id) == "well"


def test_a_breaker_held_open_parks_runs_and_letting_go_wakes_them(room: Room) -> None:
    with room.scope():
        hold_breaker("tool/shaky.read", "open", reason="maintenance", by=SYSTEM, now=timezone.now())
    run_id = room.play(agent())
    held = room.run(run_id)
    with room.scope():
        assert next(b for b in breakers() if b.dependency == "tool/shaky.read").held == "open"
        hold_breaker("tool/shaky.read", "auto", reason="done", by=SYSTEM, now=timezone.now())
    room.go_on(run_id)

    assert (held.state, held.reason) == ("waiting", "breaker")
    assert "calls" in state
    assert room.output(run_id) == "well"


def test_a_limit_makes_a_run_wait_for_its_turn_and_repeats_nothing(room: Room) -> None:
    with room.scope():
        add_limit(
            SetLimit(name="slow", unit="calls", amount=20, seconds=10, burst=2, per=["tool"]),
            by=SYSTEM,
        )
    run_id = room.play(agent(reads_five))
    waiting = room.run(run_id)
    until(room, run_id, lambda run: run.state == "succeeded")

    assert (waiting.state, waiting.reason) == ("waiting", "rate_limit")
    assert room.output(run_id) == ["well"] * 5
    assert state["calls"] == 5


def test_limits_are_set_changed_and_removed_over_http(tenant: UUID) -> None:
    api = Api(tenant, "operator")
    wanted = {"name": "mails", "unit": "calls", "amount": 5, "seconds": 60, "per": ["user"]}

    added = api.post("/api/v1/limits", wanted)
    again = api.post("/api/v1/limits", wanted)
    path = added["Location"]
    stale = api.put(path, {**wanted, "amount": 6}, If_Match='"7"')
    changed = api.put(path, {**wanted, "amount": 6}, If_Match='"1"')
    wrong = api.post("/api/v1/limits", {**wanted, "name": "x", "per": ["moon"]})
    gone = api.delete(path, If_Match='"2"')

    assert (added.status_code, added["ETag"]) == (201, '"1"')
    assert (again.status_code, again.json()["code"]) == (422, "invalid_limit")
    assert stale.status_code == 412
    assert (changed.json()["amount"], changed["ETag"]) == (6, '"2"')
    assert wrong.status_code == 422
    assert gone.status_code == 204
    assert api.get("/api/v1/limits").json()["results"] == []


def test_a_breaker_is_held_over_http_with_a_reason_by_an_operator(tenant: UUID) -> None:
    operator, viewer = Api(tenant, "operator"), Api(tenant, "viewer")
    path = "/api/v1/breakers/tool/shaky.read"

    refused = viewer.post(f"{path}/hold", {"position": "open", "reason": "x"})
    unknown = operator.post(
        "/api/v1/breakers/tool/nothing/hold", {"position": "open", "reason": "x"}
    )
    held = operator.post(f"{path}/hold", {"position": "open", "reason": "upgrade"})
    free = operator.post(f"{path}/hold", {"position": "auto", "reason": "done"})

    assert (refused.status_code, unknown.status_code) == (403, 404)
    assert (held.json()["held"], held.json()["reason"]) == ("open", "upgrade")
    assert (free.json()["held"], free.json()["state"]) == ("", "closed")
    assert operator.get(path).json()["known_as"] == "tool shaky.read"
    listed = viewer.get("/api/v1/breakers").json()["results"]
    assert "tool/shaky.read" in [breaker["dependency"] for breaker in listed]


@override_settings(API_REQUESTS=3)
def test_too_many_requests_are_told_when_to_come_back(tenant: UUID) -> None:
    api = Api(tenant)

    answers = [api.get("/api/v1/limits") for _ in range(4)]
    refused = answers[-1]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[0]["RateLimit-Policy"] == '"default";q=3;w=60'
    assert answers[0]["RateLimit"].startswith('"default";r=2;t=')
    assert 1 <= int(refused["Retry-After"]) <= 20
    assert refused.json()["code"] == "rate_limited"
    assert refused.json()["retryable"] is True
    assert refused.json()["retry_after_ms"] > 0
