"""Which version of its agent a run was under, and which code of today can run what waits."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.db.models import Count

from runs.models import Run, RunMigration


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveVersion:
    """A version of an agent with runs that have not ended, counted by state and reason."""

    id: UUID
    agent: str
    version: str
    runs: int
    states: dict[str, int]


def version_at(run_id: UUID, super_step: int) -> UUID:
    """Give the version that a super-step of a run was executed under, or is to be."""
    later = RunMigration.objects.filter(
        run_id=run_id, undone_at=None, super_step__gt=super_step
    ).order_by("super_step", "at")
    found = later.values_list("from_version_id", flat=True).first()
    return found or Run.objects.values_list("agent_version_id", flat=True).get(pk=run_id)


def migrated_after(run_id: UUID, super_step: int) -> bool:
    """Say whether a run was taken over to another version since a checkpoint, and stayed there."""
    rows = RunMigration.objects.filter(run_id=run_id, undone_at=None)
    return rows.filter(super_step__gt=super_step).exists()


def migration_checkpoints(run_id: UUID) -> frozenset[int]:
    """Name the checkpoints of a run that were made by migrations, not by super-steps."""
    rows = RunMigration.objects.filter(run_id=run_id, appended=True)
    return frozenset(rows.values_list("super_step", flat=True))


def live_versions() -> list[LiveVersion]:
    """List the versions that the scope's unfinished runs are pinned to, by agent and version."""
    rows = (
        Run.objects.filter(finished_at=None)
        .values("agent_version_id", "agent_name", "agent_version__version", "state", "reason")
        .annotate(runs=Count("id"))
        .order_by("agent_name", "agent_version__version", "state", "reason")
    )
    found: dict[UUID, LiveVersion] = {}
    for row in rows:
        known = found.get(row["agent_version_id"])
        stands = f"{row['state']} ({row['reason']})" if row["reason"] else row["state"]
        states = {**(known.states if known else {}), stands: row["runs"]}
        found[row["agent_version_id"]] = LiveVersion(
            id=row["agent_version_id"],
            agent=row["agent_name"],
            version=row["agent_version__version"],
            runs=sum(states.values()),
            states=states,
        )
    return list(found.values())
