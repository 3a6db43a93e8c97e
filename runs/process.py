"""This process's engine: made when the first nudge arrives, and put away when it ends."""

from __future__ import annotations

import os
import socket
import threading
from datetime import UTC, datetime
from functools import cache
from typing import Final

import orjson
from django.conf import settings
from django.db import connection
from psycopg import conninfo
from psycopg.types.json import set_json_loads
from psycopg_pool import ConnectionPool
from uuid_utils.compat import uuid7

from runs.advance import Burst, Engine
from runs.leases import LeaseKeeper
from runs.live import LiveWorld
from runs.loop import IoLoop
from runs.outbox import Sender
from runs.shell import Shell
from runs.store import PostgresStore


def worker_name() -> str:
    """Name this process on its leases: host and process id."""
    return f"{socket.gethostname()}:{os.getpid()}"


def open_pool(size: int) -> ConnectionPool:
    """Open connections for the engine's statements, each in autocommit."""
    parameters = connection.get_connection_params()
    wanted = {k: str(v) for k, v in parameters.items() if isinstance(v, str | int)}
    dsn = conninfo.make_conninfo("", **wanted)
    return ConnectionPool(
        dsn,
        min_size=1,
        max_size=size,
        timeout=30,
        max_idle=300,
        kwargs={"autocommit": True, "prepare_threshold": 1},
        check=ConnectionPool.check_connection,
        configure=lambda conn: set_json_loads(orjson.loads, conn),
        open=True,
        name="engine",
    )


_making: Final = threading.Lock()


def engine() -> Engine:
    """Give this process's engine: one, however many threads ask first."""
    with _making:
        return _engine()


@cache
def _engine() -> Engine:
    store = PostgresStore(open_pool(settings.HOT_POOL_SIZE))
    ttl = settings.LEASE_SECONDS
    keeper = LeaseKeeper(lambda leases: store.renew(leases, ttl=ttl), ttl=ttl)
    shell = Shell(
        store=store,
        world=LiveWorld(),
        loop=IoLoop(),
        clock=lambda: datetime.now(UTC),
        mint=lambda: str(uuid7()),
        worker=worker_name(),
        ttl=ttl,
    )
    burst = Burst(super_steps=settings.BURST_SUPER_STEPS, seconds=settings.BURST_SECONDS)
    return Engine(shell=shell, keeper=keeper, send=Sender(store.forget), burst=burst)
