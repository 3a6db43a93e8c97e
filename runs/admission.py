"""Admission: lets runs that wait in line begin, as seats become free.

    accepted ──▶ room, and nobody waits ──▶ a message at once
        └──────▶ stands in its tenant's line ──▶ admitted in turn ──▶ a message then

Who admits: whoever made room (a worker whose run ended or was set aside), whoever lined a run up
and saw room, and the sweeper at each of its rounds. One of them at a time; whose turn it is
says `runs.core.admission`. Dying anywhere in it loses nothing: a run is admitted and its message
left in one commit, and a message that was left is sent by the relay.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from uuid import UUID

import orjson
import psycopg
import structlog
from django.conf import settings
from django.db import connection, transaction
from psycopg_pool import ConnectionPool

from runs import faults, outbox
from runs.core.admission import Line, Turn, come_back, turns
from runs.errors import QueueFull, SystemFull
from runs.ports import Nudge

log = structlog.get_logger()

ONE_AT_A_TIME: Final = 0x61646D6974
"""The advisory lock of whoever admits."""

BRIEFLY: Final = "set_config('idle_in_transaction_session_timeout', '5s', true)"
"""Who admits holds up everybody: one that the server hears nothing of any more is soon let go."""

SHARE_TO_WAIT_FOR: Final = 20
"""Come back when a twentieth of the bound is free, not when one seat is: others come, too."""

KNOWN_SECONDS: Final = 0.5
MOST_KNOWN: Final = 10_000
"""For how long it is believed how many runs wait, and of how many tenants."""

ANNOUNCE_SECONDS: Final = 2.0
BUSY_PAUSE: Final = 0.025
IDLE_PAUSE: Final = 0.2
"""Seconds between two rounds of one process, while runs stand in line and while none do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Whether a new run is admitted now; where it stands in line, `look` says there may be room."""

    now: bool
    look: bool = False


def enter(tenant_id: UUID) -> Entry:
    """Say how a run that is being accepted begins, in the caller's transaction.

    Raises:
        QueueFull: as many runs of the tenant wait as may.
        SystemFull: as many runs wait in all as may.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT runs_enter(%s, 1)::text", [tenant_id])
        may = orjson.loads(cursor.fetchone()[0])
        if not may["now"]:
            bounds.check(cursor, tenant_id)
    return Entry(now=may["now"] > 0, look=may["look"])


class Bounds:
    """How long lines may be. A count holds for a moment, and for a tenth of the room it found.

    So whoever submits thousands does not have them counted anew each time, and whoever is refused
    costs nothing. Near a bound each is counted; what several processes accept at the same moment
    may go over it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[UUID | None, tuple[float, int, dict[str, Any]]] = {}

    def check(self, cursor: Any, tenant_id: UUID) -> None:
        """Say that one run more may wait.

        Raises:
            QueueFull: as many runs of the tenant wait as may.
            SystemFull: as many runs wait in all as may.
        """
        own = self._counted(cursor, tenant_id, settings.TENANT_MAX_QUEUED)
        if own["waiting"] >= own["most"]:
            raise QueueFull(own["most"], _back_in(own))
        every = self._counted(cursor, None, settings.MAX_QUEUED)
        if every["waiting"] >= every["most"]:
            raise SystemFull(_back_in(every))

    def _counted(self, cursor: Any, tenant_id: UUID | None, most: int) -> dict[str, Any]:
        now = time.monotonic()
        with self._lock:
            until, left, known = self._known.get(tenant_id, (0.0, 0, {}))
            if now < until and (left > 0 or known["waiting"] >= known["most"]):
                self._known[tenant_id] = (until, left - 1, known)
                return known
        cursor.execute("SELECT runs_in_line(%s, %s)::text", [tenant_id, most])
        found: dict[str, Any] = orjson.loads(cursor.fetchone()[0])
        with self._lock:
            if len(self._known) > MOST_KNOWN:
                self._known.clear()
            left = (found["most"] - found["waiting"]) // 10
            self._known[tenant_id] = (now + KNOWN_SECONDS, left, found)
        return found


bounds: Final = Bounds()


def _back_in(found: dict[str, Any]) -> float:
    surplus = found["waiting"] - found["most"] + 1 + found["most"] // SHARE_TO_WAIT_FOR
    chance = random.random()  # noqa: S311 - spreads load
    return come_back(surplus=surplus, per_second=found["rate"], chance=chance)


def admit_after_commit() -> None:
    """Admit who may begin, once the caller's transaction is committed: once, whoever else asks.

    Asked for in a savepoint that is rolled back, it is not asked for.
    """
    if all(hook[1] is not _admit_here for hook in connection.run_on_commit):
        transaction.on_commit(_admit_here, robust=True)


def _admit_here() -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SELECT set_config('lock_timeout', '500ms', true), {BRIEFLY}")
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [ONE_AT_A_TIME])
        admitted = _round(cursor)
    if not admitted:
        return
    faults.point("admit.committed")
    if left := outbox.send(admitted):
        with connection.cursor() as cursor:
            cursor.execute("SELECT runs_sent(%s)", [[nudge.outbox_id for nudge in left]])


def admit(pool: ConnectionPool[Any]) -> list[Nudge] | None:
    """Admit who may begin; their messages are left, to be sent. None where nobody stands in line.

    Nobody is admitted while somebody else admits.
    """
    with pool.connection() as conn, conn.transaction(), conn.cursor() as cursor:
        cursor.execute(f"SELECT pg_try_advisory_xact_lock(%s), {BRIEFLY}", [ONE_AT_A_TIME])
        found = cursor.fetchone()
        admitted = _round(cursor) if found and found[0] else []
    if admitted:
        faults.point("admit.committed")
    return admitted


def _round(cursor: Any) -> list[Nudge] | None:
    cursor.execute("SELECT runs_lines()::text")
    told = cursor.fetchone()[0]
    if told is None:
        return None
    found = orjson.loads(told)
    heads = {line["tenant"]: line.pop("heads") for line in found["lines"]}
    lines = [Line(waiting=len(heads[line["tenant"]]), **line) for line in found["lines"]]
    chosen = turns(lines, free=found["free"], now=found["now"])
    if not chosen:
        return []
    wanted = orjson.dumps(_named(chosen, heads)).decode()
    cursor.execute("SELECT runs_admit(%s::jsonb)::text", [wanted])
    return [
        Nudge(tenant_id=tenant, run_id=run, outbox_id=number)
        for tenant, run, number in orjson.loads(cursor.fetchone()[0])
    ]


def _named(chosen: Sequence[Turn], heads: dict[str, list[str]]) -> list[list[Any]]:
    """Give each turn to the first run of its line that has none yet."""
    left = {tenant: iter(ids) for tenant, ids in heads.items()}
    return [[turn.tenant, next(left[turn.tenant]), turn.begun, turn.done] for turn in chosen]


class Feeder:
    """Admits runs from a worker process, whenever seats may have become free there.

    Tells the others every few seconds how many runs this process carries at once, and at once
    where it can carry more while somebody stands in line: `slots` rises with the runs that wait
    without a thread.
    """

    def __init__(
        self,
        pool: ConnectionPool[Any],
        send: Callable[[Iterable[Nudge]], None],
        *,
        worker: str,
        slots: Callable[[], int],
    ) -> None:
        self._pool, self._send = pool, send
        self._worker, self._slots, self._told = worker, slots, 0
        self._wanted, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="feeder", daemon=True)
        self._thread.start()

    def __call__(self) -> None:
        """Admit soon: there may be room."""
        self._wanted.set()

    def close(self) -> None:
        """Stop, and say that this worker goes."""
        self._stop.set()
        self._wanted.set()
        self._thread.join()
        self._try(partial(self._announce, 0))

    def _run(self) -> None:
        announced = -ANNOUNCE_SECONDS
        while not self._stop.is_set():
            if time.monotonic() - announced >= ANNOUNCE_SECONDS:
                self._try(partial(self._announce, self._slots()))
                announced = time.monotonic()
            if self._wanted.wait(ANNOUNCE_SECONDS):
                self._wanted.clear()
                self._stop.wait(BUSY_PAUSE if self._try(self._feed) else IDLE_PAUSE)

    def _feed(self) -> bool:
        admitted = admit(self._pool)
        if admitted is not None and (slots := self._slots()) > self._told:
            self._announce(slots)
            self._wanted.set()
        if admitted:
            self._send(admitted)
        return admitted is not None

    def _announce(self, slots: int) -> bool:
        with self._pool.connection() as conn:
            conn.execute("SELECT runs_worker_is_here(%s, %s)", [self._worker, slots])
        self._told = slots
        return True

    def _try(self, work: Callable[[], bool]) -> bool:
        try:
            return work()
        except psycopg.Error as error:  # PoolTimeout is one, too
            log.warning("feeder.store_away", error_type=type(error).__name__)
            return False
