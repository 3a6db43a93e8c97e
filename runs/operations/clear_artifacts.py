"""Clear away artifacts that no state names any more: history was removed, or a task never ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db import connection

from policy import tenancy
from policy.audit import record
from policy.core.actor import Actor
from runs import queries
from runs.artifacts import Artifacts
from runs.artifacts.keeping import key_of

YOUNGEST: Final = timedelta(hours=1)
"""What was saved since may be named soon: a task saves bytes before its state is committed."""

PAUSE: Final = 5.0
"""Seconds between two looks at what is named: a fork that is under way may name it meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleared:
    """How much of a tenant's was old enough, and what of it no state names."""

    old: int
    unnamed: int
    cleared: int


def clear_artifacts(  # noqa: PLR0913 - a command's options, by keyword
    artifacts: Artifacts,
    *,
    tenant_id: UUID,
    now: datetime,
    age: timedelta,
    by: Actor,
    dry_run: bool = False,
    pause: float = PAUSE,
) -> Cleared:
    """Remove what was saved longer ago than `age`, an hour at least, and no state names.

    What is written meanwhile is young, and so stays. What is gone counts for no quota any more.

    Raises:
        ValueError: `age` is less than an hour.
        ArtifactsAway: the storage cannot be reached; what is cleared is cleared, counts for no
            quota any more, and is in the audit log.
    """
    if age < YOUNGEST:
        raise ValueError("artifacts are cleared an hour after they were saved, or later")
    before = now - age
    old = set(artifacts.lying(str(tenant_id), before=before))
    counted = _keys(tenant_id, lambda: queries.counted_artifacts(before))
    named = _keys(tenant_id, queries.named_digests) if old | counted else set()
    unnamed = old - named
    if dry_run or not (unnamed | counted) - named:
        return Cleared(old=len(old), unnamed=len(unnamed), cleared=0)
    time.sleep(pause)
    named |= _keys(tenant_id, queries.named_digests)
    unnamed -= named
    gone: list[str] = []
    absent: list[str] = []
    try:
        gone.extend(key for key in sorted(unnamed) if artifacts.clear(key, before=before))
        rest = sorted(counted - named - set(gone))
        absent.extend(key for key in rest if not artifacts.is_there(key))
    finally:
        with tenancy.scope(tenant_id):
            _uncount(tenant_id, [*gone, *absent], before)
            record(by, "artifacts.cleared", f"tenant/{tenant_id}", {"artifacts": len(gone)})
    return Cleared(old=len(old), unnamed=len(unnamed), cleared=len(gone))


def _keys(tenant_id: UUID, digests: Callable[[], Iterable[str]]) -> set[str]:
    with tenancy.scope(tenant_id):
        return {key_of(str(tenant_id), digest) for digest in digests()}


def _uncount(tenant_id: UUID, keys: Sequence[str], before: datetime) -> None:
    """Count no more what is gone; what is about to be kept again since stays counted."""
    digests = [key.rpartition("/")[2] for key in keys]
    with connection.cursor() as cursor:
        cursor.execute("SELECT runs_uncount_artifacts(%s, %s, %s)", [tenant_id, digests, before])
