"""The files of one task: what its run's state names, and what it wrote and removed since.

Bytes are kept before the state that names them is committed, so no state names what is not
there. A write is no line of the ledger: kept twice under its digest it is kept once, and its
name is a write to a channel, which counts when the super-step is committed (ADR 31).
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any, Final, Protocol, TypeVar

from policy.core.json import Json
from runs import faults
from runs.asking.asker import Asker
from runs.core.files import FILES, File, listed, named, typed
from runs.errors import TooManyEffects, UnknownFile

T = TypeVar("T")

REMOVED: Final = None


class Meanwhile(Protocol):
    """Waits for what is no effect; raises where nothing more may be asked for."""

    def __call__(self, work: Callable[[], Coroutine[Any, Any, T]]) -> Coroutine[Any, Any, T]:
        """Do it."""
        ...


@dataclass(slots=True, kw_only=True)
class Filed:
    """The files of one task. The later write of a name counts, whichever was kept first."""

    asker: Asker
    before: Mapping[str, Any]
    most: int
    meanwhile: Meanwhile
    turns: count[int] = field(default_factory=count)
    written: dict[str, tuple[int, File | None]] = field(default_factory=dict)

    async def write(self, name: str, data: bytes, media_type: str) -> File:
        """Keep bytes, and note their name for the task's result."""
        named(name), typed(media_type)
        turn = self._turn()
        shell, tenant = self.asker.shell, self.asker.claimed.lease.tenant_id
        faults.point("file.before")
        digest = await self.meanwhile(partial(shell.loop.aside, shell.world.keep, tenant, data))
        faults.point("file.kept")
        file = File(digest=digest, size=len(data), media_type=media_type)
        self._note(name, turn, file)
        return file

    async def read(self, name: str) -> bytes:
        """Give the bytes of a name, from where they are kept."""
        file = self._known(name)
        shell, tenant = self.asker.shell, self.asker.claimed.lease.tenant_id
        kept = partial(shell.loop.aside, shell.world.kept, tenant, file.digest)
        return await self.meanwhile(kept)

    def remove(self, name: str) -> None:
        """Note that a name is gone."""
        self._known(name)
        self._note(name, self._turn(), REMOVED)

    def listed(self) -> Mapping[str, File]:
        """Give the committed files, changed by what this task did."""
        known: dict[str, File | None] = dict(listed(self.before))
        known |= {name: file for name, (_, file) in self.written.items()}
        return {name: file for name, file in sorted(known.items()) if file is not None}

    def writes(self) -> dict[str, Json]:
        """Give what the task writes to the channel of files; nothing where it did not."""
        if not self.written:
            return {}
        names = sorted(self.written.items())
        return {FILES: {name: file and file.to_json() for name, (_, file) in names}}

    def _turn(self) -> int:
        """Number what is asked for, in the order of asking; a task may only ask so much."""
        turn = next(self.turns)
        if turn >= self.most:
            raise TooManyEffects(self.most)
        return turn

    def _note(self, name: str, turn: int, file: File | None) -> None:
        if self.written.get(name, (-1, None))[0] < turn:
            self.written[name] = (turn, file)

    def _known(self, name: str) -> File:
        file = self.listed().get(named(name))
        if file is None:
            raise UnknownFile(name)
        return file
