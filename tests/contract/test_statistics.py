"""What PostgreSQL's planner hears of tables that grow: plans that hold for the largest tenant."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from runs.models import Run
from runs.sweep import Sweeper
from tests.contract.halls import EMPTY
from tests.contract.postgres_ground import PostgresGround

RUSH = 700
UNTIL_KEPT = 6
"""So often PostgreSQL plans a statement anew before it keeps a plan for a connection."""

KNOWN = "SELECT relpages, pg_relation_size(oid) / 8192 FROM pg_class WHERE relname = %s"
BELIEVED = """
SELECT attoptions FROM pg_attribute WHERE attrelid = %s::regclass AND attname = 'tenant_id'
"""


@pytest.fixture(autouse=True)
def seats(postgres: PostgresGround) -> Iterator[None]:
    """End what began here: it would hold the seats of other tests' runs."""
    yield
    with postgres.system.connection() as system:
        system.execute(EMPTY)


def sweeper(ground: PostgresGround) -> Sweeper:
    return Sweeper(pool=ground.system, send=list, backlog=lambda: 0)


def begun_small(ground: PostgresGround) -> str:
    """A run whose budget is the only one: plans are kept that suit one."""
    run_id = ground.start("a")
    with ground.system.connection() as system:
        system.execute("ANALYZE policy_budget")
    for _ in range(UNTIL_KEPT):
        reserve(ground, run_id)
    return run_id


def reserve(ground: PostgresGround, run_id: str) -> int:
    """Set a call aside for a run, and give how many pages were read for it."""
    with ground._scope():
        budget = str(Run.objects.get(pk=run_id).budget_ids[0])
    call = "policy_reserve(%s, ARRAY[%s]::uuid[], %s, 0, 0, 0, 1)"
    return ground.pages_read(call, ground.tenant, budget, run_id)


def go_on(ground: PostgresGround, run_id: str) -> int:
    """Try to save a run that nobody holds in a group; give how many pages were read for it."""
    part = ["go_on", ground.tenant, run_id, "0", "0", "w", "1", {}, {}, "running", "0", {}, []]
    return ground.pages_read("runs_go_on(%s)", json.dumps([part]))


def pages_of(ground: PostgresGround, table: str) -> int:
    with ground.system.connection() as system:
        (_, real) = system.execute(KNOWN, [table]).fetchone() or (0, 0)
        return int(real)


def test_tables_that_grew_are_analyzed(postgres: PostgresGround) -> None:
    begun_small(postgres)
    for _ in range(RUSH):
        postgres.start("a")

    sweeper(postgres).analyze()

    with postgres.system.connection() as system:
        for table in ("runs_run", "policy_budget"):
            (known, real) = system.execute(KNOWN, [table]).fetchone() or (0, 1)
            assert known * 2 >= real
            (believed,) = system.execute(BELIEVED, [table]).fetchone() or ([],)
            assert "n_distinct=1" in believed


def test_a_plan_of_a_small_beginning_does_not_outlive_it(postgres: PostgresGround) -> None:
    first = begun_small(postgres)
    for _ in range(UNTIL_KEPT):
        go_on(postgres, first)
    last = [postgres.start("a") for _ in range(RUSH)][-1]

    sweeper(postgres).analyze()

    assert reserve(postgres, last) * 2 < pages_of(postgres, "policy_budget")
    assert go_on(postgres, last) * 2 < pages_of(postgres, "runs_run")
