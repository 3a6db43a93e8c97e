"""The files of a run, as its agent sees them: names for bytes.

    await ctx.files.write("report.md", text, media_type="text/markdown")
    data = await ctx.files.read("report.md")

Names are part of the run's state. What a task writes it sees at once, others see it once the
super-step is committed; a rewind, a fork and a replay have the files of their moment.
"""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from typing import Any, Final, Protocol, TypeVar

from runs.core.files import File

T = TypeVar("T")

TEXT: Final = "text/plain"
BYTES: Final = "application/octet-stream"


class FileDoor(Protocol):
    """Where files are kept; the engine's side."""

    async def write(self, name: str, data: bytes, media_type: str) -> File:
        """Keep bytes under a name."""
        ...

    async def read(self, name: str) -> bytes:
        """Give the bytes of a name."""
        ...

    def remove(self, name: str) -> None:
        """Forget a name."""
        ...

    def listed(self) -> Mapping[str, File]:
        """Give what there is, as the task sees it."""
        ...


class Waiting(Protocol):
    """What a context's files are reached through."""

    @property
    def files(self) -> FileDoor:
        """Give the task's files."""
        ...

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine from a plain function, and wait for it."""
        ...


class _Names:
    def __init__(self, door: Waiting) -> None:
        self._door = door

    def remove(self, name: str) -> None:
        """Remove a file from the run's state; earlier moments of the run keep it.

        Raises:
            UnknownFile: there is none of that name.
        """
        self._door.files.remove(name)

    def names(self) -> list[str]:
        """List the files' names."""
        return list(self.listed())

    def listed(self) -> Mapping[str, File]:
        """List the files by name: digest, size and media type of each."""
        return self._door.files.listed()


class Files(_Names):
    """The files of a run, for a coroutine."""

    async def write(self, name: str, data: bytes | str, *, media_type: str = "") -> File:
        """Keep bytes, or a text in UTF-8, under a name; what it named before is replaced.

        Raises:
            InvalidFile: the name or the media type is none, or it is too large.
            FilesFull: the tenant's quota has no room for them.
            ArtifactsAway: they cannot be kept now.
        """
        return await self._door.files.write(name, *_bytes(data, media_type))

    async def read(self, name: str) -> bytes:
        """Give a file's bytes, as they were written.

        Raises:
            UnknownFile: there is none of that name.
            ArtifactLost: what is kept is gone, or not what was written.
            ArtifactsAway: they cannot be read now.
        """
        return await self._door.files.read(name)


class SyncFiles(_Names):
    """The files of a run, for a plain function."""

    def write(self, name: str, data: bytes | str, *, media_type: str = "") -> File:
        """Keep bytes, or a text in UTF-8, under a name; as `Files.write`."""
        return self._door.wait(self._door.files.write(name, *_bytes(data, media_type)))

    def read(self, name: str) -> bytes:
        """Give a file's bytes; as `Files.read`."""
        return self._door.wait(self._door.files.read(name))


class HasDoor(Protocol):
    """A context."""

    @property
    def door(self) -> Waiting:
        """Give the engine's side."""
        ...


class WithFiles:
    """What has files, for a coroutine."""

    @property
    def files(self: HasDoor) -> Files:
        """Give the run's files."""
        return Files(self.door)


class WithSyncFiles:
    """What has files, for a plain function."""

    @property
    def files(self: HasDoor) -> SyncFiles:
        """Give the run's files."""
        return SyncFiles(self.door)


def _bytes(data: bytes | str, media_type: str) -> tuple[bytes, str]:
    if isinstance(data, str):
        return data.encode(), media_type or TEXT
    return memoryview(data).tobytes(), media_type or BYTES  # bytes(5) would be five zeros
