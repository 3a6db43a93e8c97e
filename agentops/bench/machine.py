"""The machine and the servers that figures were measured on."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any, Final

import psycopg

GIB: Final = 1024**3


def describe(database_url: str) -> dict[str, Any]:
    """Say what a reader has to know to judge a figure."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        row = connection.execute(
            "SELECT current_setting('server_version'), current_setting('fsync'),"
            " current_setting('synchronous_commit'), current_setting('shared_buffers')"
        ).fetchone()
    version, fsync, synchronous, buffers = row or ("", "", "", "")
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(pages / GIB, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "postgresql": version.split()[0],
        "fsync": fsync,
        "synchronous_commit": synchronous,
        "shared_buffers": buffers,
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    found = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return found[0] if found else platform.machine()
