"""What is measured besides time: CPU seconds of processes, bytes in a database (Linux only)."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, LiteralString

import psycopg
import redis

PROC: Final = Path("/proc")
TICKS: Final = os.sysconf("SC_CLK_TCK")

SIZES: LiteralString = r"""
SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint,
  coalesce(sum(pg_total_relation_size(c.oid)) FILTER (WHERE relname LIKE '%audit%'), 0)::bigint
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = relnamespace
WHERE relkind = 'r' AND nspname <> 'information_schema' AND nspname NOT LIKE 'pg\_%'
"""


@dataclass(frozen=True, slots=True)
class Stat:
    """A process: its parent, its name, and the CPU it and its reaped children used."""

    parent: int
    name: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Size:
    """Bytes in tables, their indexes and TOAST; `audit` is the part of the audit log."""

    total: int
    audit: int

    def __sub__(self, before: Size) -> Size:
        return Size(self.total - before.total, self.audit - before.audit)


def cpu_seconds(roots: Iterable[int]) -> float:
    """Sum the CPU of processes and everything below them, living or reaped."""
    stats = dict(_stats())
    wanted = _with_descendants(set(roots), stats)
    return sum(stat.seconds for pid, stat in stats.items() if pid in wanted)


def memory(roots: Iterable[int]) -> int:
    """Sum the bytes of processes and everything below them; what they share is counted once.

    The kernel's proportional set size: a page that is in several processes is divided by them.
    """
    wanted = _with_descendants(set(roots), dict(_stats()))
    return sum(_proportional(pid) for pid in wanted)


def _proportional(pid: int) -> int:
    try:
        lines = (PROC / str(pid) / "smaps_rollup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def database_size(database_url: str) -> Size:
    """Measure all tables of a database."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        row = connection.execute(SIZES).fetchone()
    return Size(*row) if row else Size(0, 0)


def analyze(database_url: str) -> None:
    """Give the planner what any database knows after its first minute at work.

    A new one plans for empty tables until its autovacuum comes by.
    """
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("ANALYZE")


def until_alone(database_url: str, *, patience: float = 10.0) -> None:
    """Wait until nobody else is connected: the sessions of ended processes end a little later."""
    others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    deadline = time.monotonic() + patience
    with psycopg.connect(database_url, autocommit=True) as connection:
        while connection.execute(others).fetchone() != (1,) and time.monotonic() < deadline:
            time.sleep(0.05)


def postmaster(database_url: str) -> int | None:
    """Find the pid of the server behind a URL; None where it is not on this machine."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        pid, name = connection.info.backend_pid, connection.info.dbname
        try:
            title = (PROC / str(pid) / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            return None
        if not (title.startswith("postgres:") and name in title):
            return None
        return dict(_stats())[pid].parent


def redis_server(redis_url: str) -> int | None:
    """Find the pid of a Redis; None where it is not on this machine."""
    with redis.Redis.from_url(redis_url, socket_timeout=5) as client:
        pid = int(client.info("server")["process_id"])
    stat = dict(_stats()).get(pid)
    known = stat is not None and stat.name.split("-")[0] in {"valkey", "redis"}
    return pid if known else None


def _with_descendants(roots: set[int], stats: Mapping[int, Stat]) -> set[int]:
    wanted, grown = set(roots), True
    while grown:
        found = {pid for pid, stat in stats.items() if stat.parent in wanted} - wanted
        wanted |= found
        grown = bool(found)
    return wanted


def _stats() -> Iterable[tuple[int, Stat]]:
    for entry in PROC.glob("[0-9]*"):
        try:
            text = (entry / "stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        head, _, tail = text.rpartition(")")
        fields = tail.split()
        ticks = sum(map(int, fields[11:15]))  # utime, stime, and those of reaped children
        yield int(entry.name), Stat(int(fields[1]), head.partition("(")[2], ticks / TICKS)
