"""A database that ends every connection while calls are under way: nothing known is lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from django.db import connection

from runs.advance import Advanced
from runs.agents import Context, Node, Program, graph
from runs.process import open_pool
from runs.store import PostgresStore
from tests.integration.engine_room import LEASE, Room
from tests.integration.test_store_refusals import dsn
from tools.registry import tool

RUNS = 6
SEVER = """
SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity
WHERE usename = current_user AND datname = current_database() AND pid <> pg_backend_pid()
"""


@dataclass
class Outside:
    """What was paid for real, and the moment at which the connections end: when all have asked."""

    conninfo: str = ""
    paid: list[str] = field(default_factory=list)
    severed: int = 0
    is_over: asyncio.Event = field(default_factory=asyncio.Event)

    async def pay(self, item: str) -> None:
        self.paid.append(item)
        if item != "one":
            return
        if self.paid.count("one") == RUNS:
            await asyncio.to_thread(self._sever)
            self.is_over.set()
        await self.is_over.wait()

    def _sever(self) -> None:
        with psycopg.connect(self.conninfo) as other:
            found = other.execute(SEVER).fetchone()
        assert found is not None
        self.severed = found[0]


outside = Outside()


@tool("cutoff.pay", effect="once", price="0.25")
async def pay(item: str) -> str:
    """Pay, and wait until all connections to the database are gone."""
    await outside.pay(item)
    return f"paid {item}"


async def two(ctx: Context) -> dict[str, Any]:
    await ctx.tool("cutoff.pay", item="one")
    return {"output": await ctx.tool("cutoff.pay", item="two")}


@pytest.fixture
def store() -> Iterator[PostgresStore]:
    with open_pool(RUNS) as pool:
        outside.conninfo, outside.is_over = dsn(pool), asyncio.Event()
        outside.paid.clear()
        yield PostgresStore(pool)


def test_connections_that_end_under_calls_cost_no_answer_no_crash_and_no_wait(
    room: Room, store: PostgresStore
) -> None:
    shape = graph(Node(name="main", run=two), start="main")
    program = Program(name="two", version="1", graph=shape, tools=("cutoff.*",))
    runs = [room.start(program) for _ in range(RUNS)]
    engine, began = room.engine(store=store), time.monotonic()

    with ThreadPoolExecutor(RUNS) as threads:
        came = list(threads.map(engine.advance, room.nudges))
    connection.close()  # that of this test ended with the others

    assert outside.severed >= 1
    assert came == [Advanced.ENDED] * RUNS
    assert time.monotonic() - began < LEASE / 2
    assert sorted(outside.paid) == ["one"] * RUNS + ["two"] * RUNS
    for run_id in runs:
        row, effects = room.run(run_id), room.effects(run_id).values()
        assert (row.state, row.crashes) == ("succeeded", 0)
        assert [(e.state, e.cost, e.estimated) for e in effects] == [
            ("done", Decimal("0.25"), False)
        ] * 2
        assert room.ground.approvals(run_id) == []
        assert room.ground.budget(run_id).spent.cost == Decimal("0.5")
