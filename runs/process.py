"""This process's engine: made when the first nudge arrives, and put away when it ends."""

from __future__ import annotations

import os
import socket
import threading
import time
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import orjson
import structlog
from django.conf import settings
from django.db import connection
from psycopg import conninfo
from psycopg.types.json import set_json_loads
from psycopg_pool import ConnectionPool
from uuid_utils.compat import uuid7

from runs import faults
from runs.admission import Feeder
from runs.advance import Advanced, Burst, Engine
from runs.brake import Cut
from runs.carrier import Carrier, Work
from runs.clock import DatabaseClock
from runs.errors import LeaseLost, StoreAway
from runs.leases import LeaseKeeper
from runs.live import LiveWorld
from runs.loop import IoLoop
from runs.outbox import Sender
from runs.ports import Nudge
from runs.shell import Shell
from runs.statements import EngineConnection
from runs.store import PostgresStore

log = structlog.get_logger()

CHECK_SECONDS: Final = 1.0


def worker_name(pid: int | None = None) -> str:
    """Name a process of this host on its leases, by its id; without one, this process."""
    return f"{socket.gethostname()}:{pid or os.getpid()}"


def check(connection: EngineConnection) -> None:
    """See whether a connection still works, a second after the last time at the earliest.

    Asking at every use would cost a round trip for each statement. A server that went away
    within the second is noticed by the statement itself; all other connections are asked then.
    """
    now = time.monotonic()
    if now - connection.seen_at > CHECK_SECONDS or connection.seen_at <= connection.lost_at:
        ConnectionPool.check_connection(connection)
        connection.seen_at = now


def bury(worker: str) -> int:
    """End the leases of a worker that is known to be dead, and nudge what it held.

    Only for whoever saw it die. Gives how many runs and tasks it held.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT runs_bury(%s)", [worker])
        held: int = cursor.fetchone()[0]
        return held


def open_pool(size: int) -> ConnectionPool[Any]:
    """Open connections for the engine's statements, each in autocommit."""
    parameters = connection.get_connection_params()
    wanted = {k: str(v) for k, v in parameters.items() if isinstance(v, str | int)}
    dsn = conninfo.make_conninfo("", **wanted)
    pool: ConnectionPool[Any] = ConnectionPool(
        dsn,
        connection_class=EngineConnection,
        min_size=1,
        max_size=size,
        timeout=30,
        max_idle=300,
        kwargs={"autocommit": True, "prepare_threshold": 1},
        check=check,
        configure=lambda conn: set_json_loads(orjson.loads, conn),
        open=True,
        name="engine",
    )
    return pool


_making: Final = threading.Lock()
_slots = 8


def begin(slots: int) -> None:
    """Make this process's engine before the first nudge: it carries so many runs at once."""
    global _slots  # noqa: PLW0603 - one engine per process
    _slots = slots
    engine()


def engine() -> Engine:
    """Give this process's engine: one, however many threads ask first."""
    return _one().engine


def follow(nudge: Nudge) -> None:
    """Follow a nudge in this thread until it waits; another goes on with it then."""
    one = _one()
    one.carrier.begin(_following(one.engine, nudge))


def _following(made: Engine, nudge: Nudge) -> Work[Advanced]:
    advanced = yield from made.following(nudge)
    faults.point("nudge.done")
    return advanced


@dataclass(frozen=True, slots=True)
class _Made:
    """The engine, and those of its parts that have threads or connections of their own."""

    engine: Engine
    carrier: Carrier
    feeder: Feeder
    sender: Sender

    def close(self) -> None:
        self.engine.keeper.close()
        self.feeder.close()
        self.sender.close()


def _one() -> _Made:
    with _making:
        return _made()


@cache
def _made() -> _Made:
    clock, loop = DatabaseClock(), IoLoop()
    pool = open_pool(settings.HOT_POOL_SIZE)
    store = PostgresStore(pool, groups=settings.GROUP_COMMITS, clock=clock)
    ttl = settings.LEASE_SECONDS
    keeper = LeaseKeeper(lambda leases: store.renew(leases, ttl=ttl), ttl=ttl)
    sender = Sender(store.forget)
    carrier = Carrier(loop, threads=settings.CARRIER_THREADS, most=settings.WAITING_RUNS)
    feeder = Feeder(
        pool,
        sender,
        worker=worker_name(),
        # Two seats a slot, three quarters of them for a tenant alone: so what waits takes none.
        slots=lambda: _slots + 2 * carrier.waiting // 3,
    )
    carrier.waits = feeder
    shell = Shell(
        store=store,
        world=LiveWorld(),
        loop=loop,
        clock=clock,
        mint=lambda: str(uuid7()),
        worker=worker_name(),
        ttl=ttl,
        environment=settings.ENVIRONMENT,
        send=sender,
        feed=feeder,
    )
    burst = Burst(super_steps=settings.BURST_SUPER_STEPS, seconds=settings.BURST_SECONDS)
    made = Engine(shell=shell, keeper=keeper, send=sender, burst=burst)
    return _Made(made, carrier, feeder, sender)


_ended: Final = threading.Event()


def drain(seconds: float) -> None:
    """Give everything back within so many seconds, so that others go on with it at once.

    From now on nothing is taken and no effect begins; bursts end at their next boundary.
    After three quarters of the time calls under way are cut; at its end whatever is still
    held is released over the head of its thread, which can write nothing any more.
    """
    if not _made.cache_info().currsize:
        return
    made = engine()
    made.shell.draining.set()
    if _ended.wait(seconds * 0.75):
        return
    made.keeper.stop_all(Cut.SHUTDOWN)
    if _ended.wait(seconds * 0.25):
        return
    for lease in made.keeper.held():
        try:
            made.release(lease)
        except (LeaseLost, StoreAway) as error:
            log.warning("lease.not_released", run_id=lease.run_id, detail=str(error))
    _put_away()


def close() -> None:
    """Let what waits without a thread end, for as long as `drain` lets it; put the engine away."""
    if _made.cache_info().currsize:
        one = _one()
        one.engine.shell.draining.set()
        one.carrier.wait_until_idle(settings.GRACE_SECONDS)
    _put_away()


def _put_away() -> None:
    """Forget what was sent, and renew nothing any more."""
    _ended.set()
    if _made.cache_info().currsize:
        _one().close()
