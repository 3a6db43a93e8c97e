"""The tenant's line: who stands in it, and what the tenant may have of the workers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.conf import settings
from django.db import connection
from django.db.models import Min, Q

from policy.models import Tenant
from runs.core.lifecycle import RunState
from runs.models import Run
from runs.queries.files import file_bytes

COUNTED: Final = 1000
"""How many in front of a run are counted; behind more it is told so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LineView:
    """How a tenant stands: its share and bounds, and its runs. `waiting` are those in line.

    `per_second` is how many were let in lately, out of the line; `seats` are all that there are.
    `file_bytes` is what its runs' files come to.
    """

    weight: int
    max_active: int | None
    max_queued: int
    file_bytes: int
    max_file_bytes: int | None
    active: int
    waiting: int
    oldest: datetime | None
    per_second: float
    seats: int
    free_seats: int

    @property
    def files_filled(self) -> float:
        """Say which share of its bytes of files is used; nothing where there is no quota."""
        return self.file_bytes / self.max_file_bytes if self.max_file_bytes else 0.0


def line() -> LineView:
    """Say how the scope's tenant stands."""
    active = Q(state__in=[RunState.QUEUED, RunState.RUNNING], queue_at=None)
    in_line = Run.objects.filter(queue_at__isnull=False)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, runs_in_line(id, %s)::text, runs_seats(), runs_free_seats() "
            "FROM policy_tenant",  # row-level security leaves one
            [settings.TENANT_MAX_QUEUED],
        )
        tenant_id, told, seats, free = cursor.fetchone()
    found: dict[str, Any] = json.loads(told)
    tenant = Tenant.objects.get(pk=tenant_id)
    return LineView(
        weight=tenant.weight,
        max_active=tenant.max_active,
        max_queued=found["most"],
        file_bytes=file_bytes(),
        max_file_bytes=tenant.max_file_bytes,
        active=Run.objects.filter(active).count(),
        waiting=found["waiting"],
        oldest=in_line.aggregate(oldest=Min("created_at"))["oldest"] if found["waiting"] else None,
        per_second=round(found["rate"], 2),
        seats=seats,
        free_seats=max(free, 0),
    )


def before(row: Run) -> int:
    """Count the runs that stand before this one in its tenant's line, up to `COUNTED`."""
    earlier = Q(queue_at__lt=row.queue_at) | Q(queue_at=row.queue_at, pk__lt=row.pk)
    return Run.objects.filter(earlier, queue_at__isnull=False)[:COUNTED].count()
