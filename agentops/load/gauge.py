"""What is read while a load is on: messages and memory of the broker, runs and steps."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Self

import psycopg
import redis

LOOK_SECONDS: Final = 0.02
COUNT_EVERY: Final = 50
"""Looks at the broker for each look at the database, which costs more."""

STANDS: Final = """
SELECT count(*) FILTER (WHERE queue_at IS NOT NULL AND tenant_id = %(crowd)s),
  count(*) FILTER (WHERE finished_at IS NULL AND tenant_id = %(crowd)s),
  count(*) FILTER (WHERE tenant_id = %(crowd)s),
  coalesce(sum(super_step), 0)
FROM runs_run
"""
STARTS: Final = """
SELECT id::text, extract(epoch FROM started_at)::float8 FROM runs_run WHERE id = ANY (%s)
"""
OVERTAKEN: Final = """
SELECT count(c.id) FROM runs_run AS o LEFT JOIN runs_run AS c
  ON c.tenant_id = %s AND c.created_at < o.created_at AND c.started_at > o.started_at
WHERE o.id = ANY (%s) GROUP BY o.id
"""


@dataclass(slots=True)
class Highest:
    """The highest that was seen."""

    messages: int = 0
    bytes: int = 0
    bytes_before: int = 0
    in_line: int = 0


@dataclass(frozen=True, slots=True)
class Stand:
    """How it stands: the crowd's runs in line, unfinished, and in all; the steps of all runs."""

    in_line: int
    unfinished: int
    runs: int
    steps: int


@dataclass
class Gauge:
    """Looks again and again in a thread of its own, between `with` and its end."""

    database_url: str
    redis_url: str
    queue: str
    crowd: str
    highest: Highest = field(default_factory=Highest)
    stand: Stand = field(default_factory=lambda: Stand(0, 0, 0, 0))
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, name="gauge", daemon=True)
        self._broker = redis.Redis.from_url(self.redis_url, socket_timeout=5)
        self._rows = psycopg.connect(self.database_url, autocommit=True)
        self.highest.bytes_before = self._bytes()
        self.stand = self.count()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._broker.close()
        self._rows.close()

    def count(self) -> Stand:
        """Look at the database."""
        row = self._rows.execute(STANDS, {"crowd": self.crowd}).fetchone()
        return Stand(*map(int, row or (0, 0, 0, 0)))

    def starts(self, ids: list[str]) -> dict[str, float]:
        """Read when runs began, those that did."""
        rows = self._rows.execute(STARTS, [ids]).fetchall()
        return {run: moment for run, moment in rows if moment is not None}

    def overtaken(self, ids: list[str]) -> list[int]:
        """Count for each run the crowd's that had come before it and began after it."""
        return [int(n) for (n,) in self._rows.execute(OVERTAKEN, [self.crowd, ids]).fetchall()]

    def _run(self) -> None:
        look = 0
        while not self._stop.wait(LOOK_SECONDS):
            with suppress(redis.RedisError, psycopg.Error):
                self._look(count=look % COUNT_EVERY == 0)
            look += 1

    def _look(self, *, count: bool) -> None:
        most = self.highest
        most.messages = max(most.messages, int(self._broker.llen(self.queue)))
        if count:
            most.bytes = max(most.bytes, self._bytes())
            self.stand = self.count()
            most.in_line = max(most.in_line, self.stand.in_line)

    def _bytes(self) -> int:
        info: Any = self._broker.info("memory")
        return int(info["used_memory"])


def wait_until(gauge: Gauge, done: Any, *, patience: float) -> bool:
    """Wait until a stand is as wanted; False where nothing moves for so many seconds."""
    moved_at, last = time.monotonic(), gauge.stand
    while not done(gauge.stand):
        if gauge.stand != last:
            moved_at, last = time.monotonic(), gauge.stand
        if time.monotonic() - moved_at > patience:
            return False
        time.sleep(LOOK_SECONDS)
    return True
