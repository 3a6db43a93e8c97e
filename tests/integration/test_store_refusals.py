"""A database that refuses: a deadlock, no connection left, a full disk. It costs an attempt."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import sql
from psycopg_pool import ConnectionPool

from runs.core.lifecycle import RunState
from runs.errors import StoreAway
from runs.ports import Put
from runs.process import open_pool
from runs.statements import EngineConnection
from runs.store import PostgresStore
from tests.contract.builds import a_model, a_save
from tests.contract.grounds import LEASE, claim
from tests.contract.postgres_ground import PostgresGround
from tests.integration.engine_room import Room
from tests.processes import eventually

BLOCKED = "SELECT count(*) FROM pg_stat_activity WHERE %s = ANY (pg_blocking_pids(pid))"
FULL = """
CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full';
END $$;
CREATE TRIGGER {name} BEFORE INSERT ON runs_checkpoint FOR EACH ROW
  WHEN (NEW.run_id = {run}) EXECUTE FUNCTION {name}();
"""


def dsn(pool: ConnectionPool) -> str:
    """Give the connection string of a pool, with its password."""
    assert isinstance(pool.conninfo, str)
    return pool.conninfo


@contextmanager
def disk_full(ground: PostgresGround, run_id: str) -> Iterator[None]:
    """Let the server answer as it does when nothing can be written, for one run's checkpoints."""
    name = sql.Identifier(f"full_{run_id.replace('-', '')}")
    with ground.system.connection() as connection:
        connection.execute(sql.SQL(FULL).format(name=name, run=sql.Literal(run_id)))
    try:
        yield
    finally:
        with ground.system.connection() as connection:
            connection.execute(sql.SQL("DROP FUNCTION {} CASCADE").format(name))


def test_a_statement_that_loses_a_deadlock_is_carried_out_again(room: Room) -> None:
    assert any(_loses_a_deadlock(room.ground) for _ in range(3))


def _loses_a_deadlock(ground: PostgresGround) -> bool:
    """Have an effect be written in spite of a deadlock; say whether it was the one that lost.

    Who waited longer loses, if the other came within its second.
    """
    run_id = ground.start("a")
    claimed = claim(ground, run_id)
    came: list[Put] = []
    with psycopg.connect(dsn(ground.system)) as other, ground.system.connection() as looking:
        other.execute("SELECT set_config('agentops.tenant_id', %s, false)", [ground.tenant])
        other.execute("SELECT FROM policy_budget WHERE scope_id = %s FOR UPDATE", [run_id])
        putting = threading.Thread(
            target=lambda: came.append(ground.store.put_effect(claimed.lease, a_model(), []))
        )
        putting.start()
        ours = [other.info.backend_pid]
        assert eventually(lambda: looking.execute(BLOCKED, ours).fetchone() == (1,))
        try:
            other.execute("SELECT FROM runs_run WHERE id = %s FOR UPDATE", [run_id])
        except psycopg.errors.DeadlockDetected:
            lost = False
        else:
            lost = True
        other.rollback()
        putting.join(timeout=30)

    assert came == [Put.OK]
    assert ground.budget(run_id).reserved == a_model().reserve
    return lost


def test_without_a_connection_left_the_store_is_away_and_comes_back(room: Room) -> None:
    ground = room.ground
    run_id = ground.start("a")
    kwargs = {"autocommit": True}
    with ConnectionPool(
        dsn(ground.pool),
        connection_class=EngineConnection,
        kwargs=kwargs,
        min_size=1,
        max_size=1,
        timeout=0.3,
    ) as pool:
        store = PostgresStore(pool, groups=False)
        with pool.connection(), pytest.raises(StoreAway, match="PoolTimeout"):
            store.claim(ground.tenant, run_id, worker="w1", ttl=LEASE)

        assert store.claim(ground.tenant, run_id, worker="w1", ttl=LEASE) is not None


def test_when_one_connection_was_lost_the_others_are_looked_at_before_they_are_used(
    room: Room,
) -> None:
    ground = room.ground
    run_id = ground.start("a")
    with open_pool(3) as pool:
        store = PostgresStore(pool, groups=False)
        with pool.connection(), pool.connection(), pool.connection():
            pass
        with psycopg.connect(dsn(pool)) as other:
            other.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE pid = ANY (%s)",
                [[one.info.backend_pid for one in pool._pool]],
            )

        with pytest.raises(StoreAway):
            store.claim(ground.tenant, run_id, worker="w1", ttl=LEASE)

        assert store.claim(ground.tenant, run_id, worker="w1", ttl=LEASE) is not None


def test_a_full_disk_costs_an_attempt_and_not_the_run(room: Room) -> None:
    ground = room.ground
    run_id = ground.start("a")
    claimed = claim(ground, run_id)

    with disk_full(ground, run_id), pytest.raises(StoreAway, match="No space left"):
        ground.store.save(claimed.lease, a_save(claimed, RunState.QUEUED), ttl=LEASE)

    assert ground.checkpoints(run_id) == [(0, 0)]
    ground.store.save(claimed.lease, a_save(claimed, RunState.QUEUED), ttl=LEASE)
    assert [number for number, _ in ground.checkpoints(run_id)] == [0, 1]
