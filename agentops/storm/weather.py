"""Weather: carries a timetable out on a stage, and puts everything right again at the end."""

from __future__ import annotations

import contextlib
import heapq
import itertools
import os
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import psycopg
import redis
from psycopg import sql

from agentops import process_ids
from agentops.process_ids import ProcessId
from agentops.storm.people import People
from agentops.storm.plan import Kind, Strike
from agentops.storm.recovery import HELD, Recovery
from agentops.storm.skewed import SHIFT
from agentops.storm.stage import Stage

DROP: Final = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE client_port = ANY (%s)
"""
AWAY: Final = frozenset(
    {
        *(Kind.REDIS_DOWN, Kind.REDIS_FULL, Kind.REDIS_HALF_OPEN),
        *(Kind.DATABASE_SLOW, Kind.DATABASE_VANISHED),
    }
)
ARMED: Final = frozenset({Kind.COMMIT_SWALLOWED, Kind.WEB_KILLED_BEFORE_ENQUEUE})
"""They strike when somebody comes by, and are counted then."""
RESTART_SECONDS: Final = 5.0
BETWEEN_DEPLOYS: Final = 3.0


Undo = Callable[[], object]


@dataclass
class Weather:
    """What strikes, what has struck, and what is still to be put right."""

    stage: Stage
    people: People
    recovery: Recovery
    fired: Counter[str] = field(default_factory=Counter)
    zombies_that_held: int = 0
    _later: list[tuple[float, int, Undo]] = field(default_factory=list)
    _number: itertools.count[int] = field(default_factory=itertools.count)
    _stopped: list[ProcessId] = field(default_factory=list)
    _web_dies_at: set[int] = field(default_factory=set)

    def strike(self, strike: Strike) -> bool:
        """Let a fault happen, if there is what it can hit; `pass_on` ends what lasts."""
        undo = self._faults()[strike.kind](strike)
        if undo is None:
            return False
        self.fired[strike.kind] += strike.kind not in ARMED
        now = time.monotonic()
        if strike.kind in AWAY:
            self.recovery.outage(now, now + strike.length)
        if strike.length:
            self.later(strike.length, undo)
        return True

    def count(self) -> None:
        """Count the faults that were armed and have struck by now."""
        self.fired[Kind.COMMIT_SWALLOWED] = self.stage.database.swallowed
        accepted = self.stage.accepted_by_armed()
        struck = {number for number in self._web_dies_at if number <= accepted}
        self.fired[Kind.WEB_KILLED_BEFORE_ENQUEUE] = len(struck)

    def later(self, seconds: float, do: Undo) -> None:
        """Do something in so many seconds."""
        heapq.heappush(self._later, (time.monotonic() + seconds, next(self._number), do))

    def pass_on(self, *, everything: bool = False) -> None:
        """End the faults whose time is over, or all of them."""
        while self._later and (everything or self._later[0][0] <= time.monotonic()):
            heapq.heappop(self._later)[2]()

    def clear(self) -> None:
        """Put everything right: from now on nothing is broken."""
        self.pass_on(everything=True)
        self.stage.database.delay(0)
        self.stage.database.swallow(0)
        self.stage.redis.refuse(yes=False)
        self.stage.redis.thaw()
        self.stage.database.thaw()
        for who in self._stopped:
            _wake(who)

    def _faults(self) -> dict[Kind, Callable[[Strike], Undo | None]]:
        """Give what does each fault: it gives its end, or None where it did not happen."""
        return {
            Kind.WORKER_KILLED: self._kill_worker,
            Kind.NURSERY_KILLED: self._kill_nursery,
            Kind.WEB_KILLED: lambda _: self._kill("web") if self.stage.web_answers() else None,
            Kind.WEB_KILLED_BEFORE_ENQUEUE: self._kill_accepting,
            Kind.SWEEPER_KILLED: lambda _: self._kill("sweeper"),
            Kind.SWEEPER_ABSENT: self._miss_sweeper,
            Kind.SWEEPER_TWICE: self._double_sweeper,
            Kind.ZOMBIE: self._stop_worker,
            Kind.REDIS_EMPTIED: lambda _: self._redis(lambda client: client.flushall()),
            Kind.REDIS_DOWN: self._redis_down,
            Kind.REDIS_FULL: self._redis_full,
            Kind.REDIS_HALF_OPEN: self._half_open,
            Kind.DATABASE_DROPPED: self._drop_connections,
            Kind.DATABASE_RESTARTED: self._restart_database,
            Kind.DATABASE_SLOW: self._slow_database,
            Kind.DATABASE_VANISHED: self._vanish,
            Kind.COMMIT_SWALLOWED: self._swallow,
            Kind.MESSAGES_DOUBLED: lambda _: self._nudge(late=False),
            Kind.MESSAGES_LATE: lambda _: self._nudge(late=True),
            Kind.CLOCK_JUMP: self._jump,
            Kind.DEPLOY: self._deploy,
        }

    # --- processes -------------------------------------------------------------------------

    def _held(self, pids: list[int]) -> list[tuple[str, int]]:
        """Name the runs that these workers hold; none while the database is away."""
        names = [f"{socket.gethostname()}:{pid}" for pid in pids]
        with contextlib.suppress(psycopg.Error):
            found = self.stage.eyes.rows(HELD, {"workers": names})
            return [(row["id"], row["event_seq"]) for row in found]
        return []

    def _kill_worker(self, strike: Strike) -> Undo | None:
        """Kill a worker; one that holds a run, where there is one."""
        pids = list(self.stage.workers().values())
        if not pids:
            return None
        busy = [pid for pid in pids if self._held([pid])]
        pid = _pick(busy or pids, strike.chance)
        held = self._held([pid])
        if not _send(pid, signal.SIGKILL):
            return None
        self.recovery.killed(held, time.monotonic())
        return _nothing

    def _kill_nursery(self, _strike: Strike) -> Undo | None:
        """Kill a nursery with its workers, when it has some: they take a while to come back."""
        if not (pids := list(self.stage.workers("workers").values())):
            return None
        held = self._held(pids)
        self.stage.supervisor.kill("workers")
        self.recovery.killed(held, time.monotonic())
        return _nothing

    def _kill(self, name: str) -> Undo | None:
        if not self.stage.has(name):
            return None
        self.stage.supervisor.kill(name)
        return _nothing

    def _kill_accepting(self, _strike: Strike) -> Undo | None:
        """Kill the web process between the commit of the next run it accepts and its message."""
        if not self.stage.web_answers():
            return None
        self._web_dies_at.add(self.stage.end_after_accepting())
        return _nothing

    def _miss_sweeper(self, _strike: Strike) -> Undo | None:
        if not self.stage.has("sweeper"):
            return None
        self.stage.supervisor.stop("sweeper")
        return partial(self.stage.sweep, "sweeper")

    def _double_sweeper(self, _strike: Strike) -> Undo | None:
        if self.stage.has("sweeper-2"):
            return None
        self.stage.sweep("sweeper-2")
        return partial(self.stage.supervisor.stop, "sweeper-2")

    def _stop_worker(self, strike: Strike) -> Undo | None:
        """Stop a worker for longer than its leases last."""
        pids = list(self.stage.workers().values())
        who = process_ids.identify(_pick(pids, strike.chance)) if pids else None
        if who is None or not _send(who.pid, signal.SIGSTOP):
            return None
        self._stopped.append(who)
        self.zombies_that_held += bool(self._held([who.pid]))
        return partial(_wake, who)

    def _deploy(self, _strike: Strike) -> Undo | None:
        """Restart what runs our code as a deploy does: one after the other, by SIGTERM."""
        if not self.stage.workers("workers"):
            return None
        self.later(BETWEEN_DEPLOYS, partial(self._end, "skewed"))
        self.later(BETWEEN_DEPLOYS / 2, partial(self._end, "web"))
        return _nothing if self._end("workers") else None

    def _jump(self, strike: Strike) -> Undo | None:
        """Let the clock of some workers jump an hour: as another host, that took them over."""
        jumped = "-3600" if strike.chance < 1 / 2 else "3600"
        if self.stage.environments["skewed"][SHIFT] == jumped:
            jumped = str(-float(jumped))
        self.stage.environments["skewed"][SHIFT] = jumped
        return _nothing if self._end("skewed") else None

    def _end(self, nursery: str) -> bool:
        return _send(self.stage.pid(nursery), signal.SIGTERM)

    # --- Redis -----------------------------------------------------------------------------

    def _redis(self, do: Callable[[redis.Redis], Any]) -> Undo | None:
        url = self.stage.servers.redis_url
        try:
            with redis.Redis.from_url(url, socket_timeout=3, socket_connect_timeout=3) as client:
                do(client)
        except redis.RedisError:
            return None
        return _nothing

    def _redis_down(self, _strike: Strike) -> Undo | None:
        """End the server, which comes back empty, and let nobody in for a while."""
        pids: list[int] = []
        self._redis(lambda client: pids.append(client.info("server")["process_id"]))
        if not pids or not _send(pids[0], signal.SIGKILL):
            return None
        self.stage.redis.refuse(yes=True)
        return partial(self.stage.redis.refuse, yes=False)

    def _redis_full(self, _strike: Strike) -> Undo | None:
        if self._redis(lambda client: client.config_set("maxmemory", 1)) is None:
            return None
        return partial(self._redis, lambda client: client.config_set("maxmemory", 0))

    def _half_open(self, strike: Strike) -> Undo:
        self.stage.redis.freeze(strike.chance)
        return self.stage.redis.thaw

    # --- PostgreSQL ------------------------------------------------------------------------

    def _drop_connections(self, strike: Strike) -> Undo | None:
        """Have the server drop a part of the product's connections."""
        ports = self.stage.database.ports()
        some = ports[: max(1, round(len(ports) * strike.chance))]
        try:
            self._lead_the_application()
            dropped = self.stage.eyes.rows(
                DROP,
                [some],
            )
        except psycopg.Error:
            return None
        return _nothing if dropped else None

    def _lead_the_application(self) -> None:
        """Become a member of the application's role: only members may end its connections."""
        url = self.stage.servers.database_url
        with psycopg.connect(url, autocommit=True, connect_timeout=3) as connection:
            role = sql.Identifier(f"{connection.info.dbname}_app")
            connection.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(role))

    def _restart_database(self, _strike: Strike) -> Undo | None:
        """End the server as `pg_ctl stop -m immediate` does; its supervisor starts it again."""
        file = self.stage.servers.data / "postgres" / "postmaster.pid"
        try:
            pid = int(file.read_text("utf-8").split("\n")[0])
        except (OSError, ValueError):
            return None
        if not _send(pid, signal.SIGQUIT):
            return None
        now = time.monotonic()
        self.recovery.outage(now, now + RESTART_SECONDS)
        self.stage.eyes.close()
        return _nothing

    def _slow_database(self, strike: Strike) -> Undo:
        self.stage.database.delay(0.02 + 0.1 * strike.chance)
        return partial(self.stage.database.delay, 0)

    def _vanish(self, _strike: Strike) -> Undo | None:
        """Confirm nothing of what those send who are in; at the end, cut them off."""
        return self.stage.database.thaw if self.stage.database.vanish() else None

    def _swallow(self, strike: Strike) -> Undo:
        self.stage.database.swallow(1 + round(3 * strike.chance))
        return _nothing

    # --- messages --------------------------------------------------------------------------

    def _nudge(self, *, late: bool) -> Undo:
        self.people.nudge(late=late)
        return _nothing


def _nothing() -> None:
    """Nothing is to be put right."""


def _pick(pids: list[int], chance: float) -> int:
    return pids[int(chance * len(pids)) % len(pids)]


def _send(pid: int, number: signal.Signals) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def _wake(who: ProcessId) -> None:
    if process_ids.is_alive(who):
        _send(who.pid, signal.SIGCONT)
