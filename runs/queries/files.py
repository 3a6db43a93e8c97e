"""The files of a run as of a checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from policy.core.json import JsonObject
from runs.core.files import FILES, listed
from runs.errors import UnknownFile
from runs.models import Artifact, ArtifactUse, Checkpoint, Task
from runs.queries.travel import head_of


@dataclass(frozen=True, slots=True, kw_only=True)
class FileView:
    """One file: its name, and what it stands for."""

    name: str
    size: int | None
    media_type: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesView:
    """All files of a run as of a checkpoint, by name."""

    super_step: int
    files: tuple[FileView, ...]


def files(run_id: UUID, super_step: int | None) -> FilesView:
    """List a run's files as of a checkpoint; None is the newest. Raises as `head_of`."""
    at, head = head_of(run_id, super_step)
    named = _named_at(run_id, head)
    if named is None:  # its history was removed since, and what is left was made whole
        at, head = head_of(run_id, super_step)
        named = _named_at(run_id, head)
    views = tuple(
        FileView(name=name, size=file.size, media_type=file.media_type, digest=file.digest)
        for name, file in listed(named or {}).items()
    )
    return FilesView(super_step=at, files=views)


def _named_at(run_id: UUID, head: JsonObject) -> Any:
    """Read the channel of files from where it was last written; None where that is gone."""
    if (step := head["written"].get(FILES)) is None:
        return {}
    rows = Checkpoint.objects.filter(run_id=run_id, super_step=step)
    return rows.values_list(f"writes__{FILES}", flat=True).first()


def file(run_id: UUID, super_step: int | None, name: str) -> FileView:
    """Find one of them.

    Raises:
        UnknownFile: there is none of that name.
        UnknownRun, UnknownCheckpoint, HistoryGone: as `head_of`.
    """
    for one in files(run_id, super_step).files:
        if one.name == name:
            return one
    raise UnknownFile(name)


def named_digests() -> set[str]:
    """Collect the digests that any state of the scope's tenant names, at any checkpoint.

    A finished task's kept result names some, too, while its siblings are not done. Looks through
    all of the tenant's checkpoints.
    """
    states = Checkpoint.objects.filter(writes__has_key=FILES).values_list("writes", flat=True)
    kept = Task.objects.filter(result__writes__has_key=FILES).values_list("result", flat=True)
    found: set[str] = set()
    for writes in states.iterator():
        found |= _digests(writes)
    for result in kept.iterator():
        found |= _digests((result or {})["writes"])
    return found


def counted_artifacts(before: datetime) -> set[str]:
    """Collect the digests that are counted for the scope's tenant, and were not saved since."""
    rows = Artifact.objects.filter(saved_at__lt=before)
    return set(rows.values_list("digest", flat=True))


def file_bytes() -> int:
    """Say what the files of the scope's tenant come to: each content once, however often named."""
    return ArtifactUse.objects.values_list("bytes", flat=True).first() or 0


def _digests(writes: Any) -> set[str]:
    return {raw["digest"] for raw in writes[FILES].values() if raw is not None}
