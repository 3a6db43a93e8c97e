"""Bulkheads: what hangs holds as many workers as it may, and no more."""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings
from django.db import connection

from policy.core.actor import SYSTEM
from policy.core.gate import Barred, Cleared, GateRules, Outgoing
from policy.core.limits import Bulkhead, Limit, LimitUnit, Scarce
from policy.core.outcomes import Done
from policy.errors import InvalidLimit
from policy.gates.bulkheads import Bulkheads
from policy.gates.gate import Gate
from policy.gates.shared import Shared
from policy.operations.limits import SetLimit, add_limit
from runs.agents import Context, Node, Program, graph
from tests.http import Api
from tests.integration.engine_room import Room
from tools.registry import tool

AWAY = "redis://127.0.0.1:1/0"

answers = threading.Event()
hanging = threading.Semaphore(0)


@tool("hangs.read", effect="read", risk="low", timeout=120)
async def hangs_read() -> str:
    """Answer when the test lets it."""
    hanging.release()
    await asyncio.to_thread(answers.wait, 120)
    return "at last"


@tool("works.read", effect="read", risk="low")
def works_read() -> str:
    """Answer."""
    return "at once"


@pytest.fixture(autouse=True)
def _new_world() -> Iterator[None]:
    answers.clear()
    while hanging.acquire(blocking=False):
        pass
    yield
    answers.set()


@pytest.fixture
def redis(migrated: None) -> Iterator[Shared]:  # noqa: ARG001 - wanted for the servers
    with closing(Shared(settings.REDIS_URL)) as door:
        yield door


def reader(name: str) -> Program:
    async def reads(ctx: Context) -> dict[str, Any]:
        return {"output": await ctx.tool(f"{name}.read")}

    shape = graph(Node(name="main", run=reads), start="main")
    return Program(name=f"{name}-reader", version="1", graph=shape, tools=(f"{name}.*",))


def behind(key: str, most: int = 2) -> list[Bulkhead]:
    return [Bulkhead(key=key, most=most)]


def a_key() -> str:
    return f"test-{secrets.token_hex(8)}"


def test_no_more_calls_are_in_flight_than_may_be_whoever_sends_them(redis: Shared) -> None:
    key = a_key()
    with closing(Shared(settings.REDIS_URL)) as door:
        doors = [Bulkheads(redis), Bulkheads(door)]
        tickets = [doors[n % 2].enter(key, behind(key), lasts=60) for n in range(5)]

        assert [isinstance(ticket, str) for ticket in tickets] == [True, True, False, False, False]
        doors[1].leave(key, behind(key), str(tickets[0]))
        assert isinstance(doors[0].enter(key, behind(key), lasts=60), str)


def test_the_ticket_of_a_dead_process_runs_out(redis: Shared) -> None:
    key = a_key()
    bulkheads = Bulkheads(redis)
    bulkheads.enter(key, behind(key, 1), lasts=-1.9)  # with the slack, a tenth of a second

    until = time.monotonic() + 30
    while isinstance(bulkheads.enter(key, behind(key, 1), lasts=60), Scarce):
        assert time.monotonic() < until
        time.sleep(0.05)


def test_while_redis_is_away_each_process_counts_its_own() -> None:
    bulkheads = Bulkheads(Shared(AWAY))
    first = bulkheads.enter("t", behind("key", 1), lasts=60)

    assert isinstance(first, str)
    assert isinstance(bulkheads.enter("t", behind("key", 1), lasts=60), Scarce)
    bulkheads.leave("t", behind("key", 1), first)
    assert isinstance(bulkheads.enter("t", behind("key", 1), lasts=60), str)


def test_a_call_that_a_rate_limit_holds_back_is_not_in_flight(redis: Shared) -> None:
    tenant, gate = a_key(), Gate(redis)
    flight = Limit(id="f", name="f", unit=LimitUnit.IN_FLIGHT, amount=1, seconds=60, burst=1)
    rate = Limit(id="r", name="r", unit=LimitUnit.CALLS, amount=1, seconds=3600, burst=1)
    call = Outgoing(tenant_id=tenant, dependency="tool/x", facts={"tool": "x"}, lasts=60)
    first = gate.clear(call, GateRules(limits=(flight, rate)))
    assert isinstance(first, Cleared)
    gate.back(first, Done(value=None))

    held = gate.clear(call, GateRules(limits=(flight, rate)))

    assert isinstance(held, Barred)
    assert isinstance(gate.clear(call, GateRules(limits=(flight,))), Cleared)


def test_a_hung_tool_holds_as_many_workers_as_it_may_and_other_runs_go_on(room: Room) -> None:
    with room.scope():
        wanted = SetLimit(name="calls", unit="in_flight", amount=2, per=["dependency"])
        add_limit(wanted, by=SYSTEM)
    hung = [room.start(reader("hangs")) for _ in range(4)]

    def work(_: int) -> None:
        try:
            room.engine().advance(room.nudges.popleft())
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        working = [pool.submit(work, n) for n in range(4)]
        try:
            for _ in range(2):
                assert hanging.acquire(timeout=60)
            parked = [working_one.result(timeout=60) for working_one in _the_first_two(working)]
            assert len(parked) == 2
            assert sorted(room.state(run) for run in hung) == ["running"] * 2 + ["waiting"] * 2

            assert room.output(room.play(reader("works"))) == "at once"
        finally:
            answers.set()

    waiting = [run for run in hung if room.state(run) == "waiting"]
    assert {room.run(run).reason for run in waiting} == {"rate_limit"}
    for run in waiting:
        for _ in range(60):
            if room.state(run) == "succeeded":
                break
            time.sleep(0.1)
            room.pass_time(run, 300)
    assert [room.output(run) for run in hung] == ["at last"] * 4


def _the_first_two(working: list[Any]) -> list[Any]:
    until = time.monotonic() + 60
    while sum(one.done() for one in working) < 2:
        assert time.monotonic() < until
        time.sleep(0.02)
    return [one for one in working if one.done()][:2]


def test_a_bulkhead_has_no_burst(room: Room) -> None:
    wanted = SetLimit(name="odd", unit="in_flight", amount=2, burst=1)

    with room.scope(), pytest.raises(InvalidLimit):
        add_limit(wanted, by=SYSTEM)


def test_a_bulkhead_is_set_over_http(tenant: UUID) -> None:
    body = {"name": "crm", "unit": "in_flight", "amount": 3, "where": {"dependency": "server/*"}}

    answer = Api(tenant).post("/api/v1/limits", body)

    assert answer.status_code == 201
    assert (answer.json()["unit"], answer.json()["amount"]) == ("in_flight", 3)
