"""Remove the history of runs that ended longer ago than their tenants keep it, at once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from django.db import connection

from policy.core.actor import Actor

BATCH: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What was removed of one run, or would be."""

    run_id: UUID
    checkpoints: int
    events: int
    effects: int


def prunable(*, tenant_id: UUID | None) -> Iterator[Pruned]:
    """Look what would be removed, changing nothing; of one tenant, or with None of all."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT f.run_id, runs_history_of(r)::text FROM runs_forgettable(%s, NULL) AS f"
            " JOIN runs_run AS r ON r.id = f.run_id",
            [tenant_id],
        )
        for run_id, counts in cursor.fetchall():
            yield Pruned(run_id=run_id, **json.loads(counts))


def prune(*, tenant_id: UUID | None, by: Actor) -> Iterator[Pruned]:
    """Remove history, run by run, each in a transaction of its own with its audit event.

    Needs the system's role. Stopping in between leaves every run either whole or pruned.
    """
    done: set[UUID] = set()
    while batch := [row for row in _batch(tenant_id) if row[1] not in done]:
        for tenant, run_id, days in batch:
            done.add(run_id)
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT runs_forget(%s, %s, %s, %s)::text", [tenant, run_id, days, str(by)]
                )
                counts = cursor.fetchone()[0]
            if counts is not None:
                yield Pruned(run_id=run_id, **json.loads(counts))


def _batch(tenant_id: UUID | None) -> list[tuple[UUID, UUID, int]]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tenant_id, run_id, days FROM runs_forgettable(%s, %s)", [tenant_id, BATCH]
        )
        return list(cursor.fetchall())
