"""Artifacts: bytes by their digest, apart for each tenant, over a storage of Django's.

    keep   bytes ──▶ TENANT/ab/abcdef…, whatever is there already; the name is their SHA-256
    kept   digest ──▶ the bytes, after they were compared with it
    clear  what was saved before a moment, where no state names it (`manage.py artifacts`)

Keeping always writes, though the same may be there: it heals what was damaged, and makes what
is about to be named young again, so that nobody clears it away meanwhile.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from typing import Any, Final, Protocol

import structlog

from runs.core.files import DIGEST
from runs.errors import ArtifactLost, ArtifactsAway, InvalidFile

log = structlog.get_logger()

LARGEST: Final = 25 * 1024 * 1024
"""Bytes of the largest artifact, where the settings say nothing else."""


class Storage(Protocol):
    """What is needed of a storage; Django's have it. Saving must replace what is there."""

    def save(self, name: str, content: Any) -> str:
        """Store under a name, and give the name."""
        ...

    def open(self, name: str) -> Any:
        """Open for reading; raises FileNotFoundError."""
        ...

    def delete(self, name: str) -> None:
        """Remove it."""
        ...

    def listdir(self, path: str) -> tuple[list[str], list[str]]:
        """List folders and files; raises FileNotFoundError."""
        ...

    def exists(self, name: str) -> bool:
        """Say whether it is there."""
        ...

    def get_modified_time(self, name: str) -> datetime:
        """Say when it was last saved; raises something where it is not there."""
        ...


def anyway(digest: str, size: int) -> None:
    """Say that there is always room."""


@dataclass(frozen=True, slots=True)
class Artifacts:
    """Artifacts over a storage, found when first wanted; none has more bytes than `largest`."""

    storage: Callable[[], Storage]
    largest: int = LARGEST

    def keep(self, tenant_id: str, data: bytes, room: Callable[[str, int], None] = anyway) -> str:
        """Store bytes and give their digest. Once it is given, they are there.

        `room` is told the digest and how many they are before, and raises where there is none.

        Raises:
            InvalidFile: they are too many.
            ArtifactsAway: they cannot be stored now.
        """
        if len(data) > self.largest:
            raise InvalidFile(f"a file has {self.largest} bytes at most, and this {len(data)}")
        digest = hashlib.sha256(data).hexdigest()
        key = key_of(tenant_id, digest)
        room(digest, len(data))
        with reached():
            put(self.storage(), key, data)
        return digest

    def kept(self, tenant_id: str, digest: str) -> bytes:
        """Give the bytes of a digest, which they were compared with.

        Raises:
            ArtifactLost: they are not there, or are others.
            ArtifactsAway: they cannot be read now.
        """
        with reached():
            try:
                with self.storage().open(key_of(tenant_id, digest)) as stored:
                    data: bytes = stored.read()
            except FileNotFoundError:
                raise ArtifactLost(digest, "is not there") from None
        if hashlib.sha256(data).hexdigest() != digest:
            raise ArtifactLost(digest, "is not what was written")
        return data

    def lying(self, tenant_id: str, *, before: datetime) -> Iterator[str]:
        """Name what lies there of a tenant's, whatever it is, and was not saved since a moment.

        Raises:
            ArtifactsAway: it cannot be listed now.
        """
        with reached():
            for folder in self._list(tenant_id)[0]:
                for name in self._list(f"{tenant_id}/{folder}")[1]:
                    if self._is_old(f"{tenant_id}/{folder}/{name}", before):
                        yield f"{tenant_id}/{folder}/{name}"

    def clear(self, key: str, *, before: datetime) -> bool:
        """Remove what lies there, unless it was saved since a moment; say whether it is gone.

        Raises:
            ArtifactsAway: it cannot be removed now.
        """
        with reached():
            if not self._is_old(key, before):
                return False
            self.storage().delete(key)
        return True

    def is_there(self, key: str) -> bool:
        """Say whether anything lies there.

        Raises:
            ArtifactsAway: nobody can say now.
        """
        with reached():
            return self.storage().exists(key)

    def _list(self, path: str) -> tuple[list[str], list[str]]:
        try:
            return self.storage().listdir(path)
        except FileNotFoundError:
            return [], []

    def _is_old(self, key: str, before: datetime) -> bool:
        storage = self.storage()
        try:
            return storage.get_modified_time(key) < before
        except Exception:  # what a storage says of what is not there is its own affair
            if storage.exists(key):
                raise
            return False


def key_of(tenant_id: str, digest: str) -> str:
    """Name the place of a tenant's bytes: no part of it is anybody's text."""
    if DIGEST.fullmatch(digest) is None:
        raise ValueError(f"{digest!r} is no digest")
    return f"{tenant_id}/{digest[:2]}/{digest}"


def put(storage: Storage, key: str, data: bytes) -> None:
    """Store bytes under a name, in place of what is there.

    Raises:
        ArtifactsAway: they cannot be stored now, or only beside what is there.
    """
    with reached():
        saved = storage.save(key, BytesIO(data))
        if saved != key:
            storage.delete(saved)
            raise ArtifactsAway(
                "the storage of artifacts does not replace what is there (file_overwrite)"
            )


@contextmanager
def reached() -> Iterator[None]:
    """Tell of a storage that cannot be reached, whatever it raises, as one kind of error.

    What it said (a path, a bucket's name) is for the log: the error's words reach every tenant.
    """
    try:
        yield
    except (ArtifactLost, ArtifactsAway):
        raise
    except Exception as error:
        log.warning("artifacts.away", error=f"{type(error).__name__}: {error}"[:500])
        kind = type(error).__name__
        raise ArtifactsAway(f"the storage of artifacts cannot be reached ({kind})") from error
