"""Submits runs and watches them: `python -m agentops.bench.submit`, in the product's environment.

One line of JSON in, one out. `prepare` accepts runs in a transaction that it leaves open; `go`
commits it, which sends the nudges, and answers when the last run has ended. `trace` submits one
run and gives the seconds to its first step and between its steps; `family` submits one with so many
children and gives the seconds to its end:

    {"prepare": {"agent": "w1", "runs": 200, "steps": 20}}    {"seconds": 0.71}
    {"go": true}                                              {"seconds": 1.9, "steps": 4000}
    {"trace": 200}                                            {"first": 0.008, "gaps": [0.002]}
    {"family": 50}                                            {"seconds": 0.2}
    {"slow_model": "http://127.0.0.1:40123/v1"}               {"ready": true}

Times are the database's: from the moment before the commit to the last `finished_at`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from agentops.child import say

if TYPE_CHECKING:
    from runs.operations.start import StartRun

POLL_SECONDS: Final = 0.2
"""Between two looks; when the last run ended is told by its row, not by who looks."""
PATIENCE_SECONDS: Final = 20.0

PROGRESS = """
SELECT count(finished_at) = count(*), max(finished_at), sum(super_step),
  count(*) FILTER (WHERE state <> 'succeeded')
FROM runs_run WHERE id = ANY (%s)
"""

MESSAGES = "SELECT runs_read_log(%s, %s, 'messages', %s)"


class StalledError(Exception):
    """Runs neither end nor go on."""


def main() -> None:
    """Answer lines until there are no more."""
    import django  # noqa: PLC0415 - only this process needs it

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agentops.settings")
    django.setup()
    tenant_id = set_up("bench")
    say({"ready": True})
    for line in sys.stdin:
        asked: dict[str, Any] = json.loads(line)
        if "trace" in asked:
            say(_trace(tenant_id, asked["trace"]))
        elif "family" in asked:
            say(_family(tenant_id, asked["family"]))
        elif "slow_model" in asked:
            _know(tenant_id, asked["slow_model"])
            say({"ready": True})
        else:
            ids, released = _submit(tenant_id, asked["prepare"])
            say(_watch(tenant_id, ids, released))


def set_up(tenant: str) -> UUID:
    """Make a tenant with a scripted model."""
    from agentops.bench.agents import loops  # noqa: F401, PLC0415 - declares agents and script
    from gateway.operations.add_endpoint import add_endpoint  # noqa: PLC0415 - needs Django
    from gateway.operations.add_model import add_model  # noqa: PLC0415
    from policy import tenancy  # noqa: PLC0415
    from policy.operations.create_tenant import create_tenant  # noqa: PLC0415

    tenant_id = create_tenant(tenant, "Benchmark", policy=None)
    with tenancy.scope(tenant_id):
        add_endpoint("script", provider="scripted")
        add_model("bench", endpoint="script", model_id="bench")
    return tenant_id


def _know(tenant_id: UUID, url: str) -> None:
    """Make the slow model known."""
    from gateway.operations.add_endpoint import add_endpoint  # noqa: PLC0415
    from gateway.operations.add_model import add_model  # noqa: PLC0415
    from policy import tenancy  # noqa: PLC0415

    with tenancy.scope(tenant_id):
        add_endpoint("slow", provider="openai", base_url=url)
        price = Decimal(1)
        add_model(
            "slow",
            endpoint="slow",
            model_id="slow",
            input_per_million=price,
            output_per_million=price,
        )


def _submit(tenant_id: UUID, asked: dict[str, Any]) -> tuple[list[UUID], datetime]:
    """Accept runs, say so, wait for the word, and release all of them by one commit."""
    from policy import tenancy  # noqa: PLC0415

    began = time.monotonic()
    with tenancy.scope(tenant_id):
        ids = list(_accepted(asked["runs"], _command(asked)))
        say({"seconds": time.monotonic() - began})
        sys.stdin.readline()
        released: datetime = _rows("SELECT clock_timestamp()", [])[0][0]
    return ids, released


def _command(asked: dict[str, Any]) -> StartRun:
    from policy.core.actor import SYSTEM  # noqa: PLC0415
    from runs.operations.start import StartRun  # noqa: PLC0415

    return StartRun(agent=asked["agent"], input={"steps": asked["steps"]}, by=SYSTEM)


def _accepted(runs: int, command: StartRun) -> Iterator[UUID]:
    from runs.operations.start import start_run  # noqa: PLC0415

    for _ in range(runs):
        yield start_run(command, now=datetime.now(UTC))


def _watch(tenant_id: UUID, ids: Sequence[UUID], released: datetime) -> dict[str, Any]:
    from policy import tenancy  # noqa: PLC0415

    steps, moved_at = -1, time.monotonic()
    while True:
        with tenancy.scope(tenant_id):
            [(ended, last, total, failed)] = _rows(PROGRESS, [list(ids)])
        if ended:
            seconds = (last - released).total_seconds()
            return {"seconds": seconds, "steps": total, "failed": failed}
        if total > steps:
            steps, moved_at = total, time.monotonic()
        elif time.monotonic() - moved_at > PATIENCE_SECONDS:
            raise StalledError(f"nothing moved for {PATIENCE_SECONDS:g} s, at {total} steps")
        time.sleep(POLL_SECONDS)


def _family(tenant_id: UUID, children: int) -> dict[str, Any]:
    """Submit one run with children, and give the seconds from before that to its end."""
    from policy import tenancy  # noqa: PLC0415
    from policy.core.actor import SYSTEM  # noqa: PLC0415
    from runs.operations.start import StartRun, start_run  # noqa: PLC0415

    command = StartRun(agent="w3", input={"children": children}, by=SYSTEM)
    with tenancy.scope(tenant_id):
        [(began,)] = _rows("SELECT clock_timestamp()", [])
        run_id = start_run(command, now=datetime.now(UTC))
    return _watch(tenant_id, [run_id], began)


def _trace(tenant_id: UUID, steps: int) -> dict[str, Any]:
    """Submit one run, and read from its messages when each was asked for."""
    from policy import tenancy  # noqa: PLC0415

    began = time.monotonic()
    with tenancy.scope(tenant_id):
        [run_id] = _accepted(1, _command({"agent": "timed", "steps": steps}))
        [(released,)] = _rows("SELECT clock_timestamp()", [])
    _watch(tenant_id, [run_id], released)
    with tenancy.scope(tenant_id):
        [(messages,)] = _rows(MESSAGES, [tenant_id, run_id, steps])
    read = json.loads(messages) if isinstance(messages, str) else messages
    asked = [float(message["content"].split()[0]) for message in read]
    gaps = [after - before for before, after in pairwise(asked)]
    return {"first": asked[0] - began, "gaps": gaps}


def _rows(statement: str, parameters: list[Any]) -> list[tuple[Any, ...]]:
    from django.db import connection  # noqa: PLC0415

    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows


if __name__ == "__main__":
    main()
