"""Files of a run: names in its state for bytes that are kept elsewhere, under their digest.

`files` is a channel of every graph, without being declared; a checkpoint has it once a file was
written. So files are compared, rewound, forked and replayed as the state is.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from policy.core.json import Json
from runs.core.channels import Channel, Reducer
from runs.errors import InvalidFile, InvalidWrite

FILES: Final = "files"
"""The channel's name: reserved in every graph."""

MOST_FILES: Final = 1_000
"""Files that a run may have at once: the state names all of them whenever it names one."""

LONGEST_NAME: Final = 255
DIGEST: Final = re.compile(r"[0-9a-f]{64}")
MEDIA_TYPE: Final = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,62}/[a-z0-9][a-z0-9!#$&^_.+-]{0,62}")


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """What a name stands for: the digest of bytes, how many they are, and what they are."""

    digest: str
    size: int
    media_type: str

    def to_json(self) -> dict[str, Json]:
        """Write it down, for the state."""
        return asdict(self)


def named(name: object) -> str:
    """Give a file's name as it is, if it is one.

    A name is relative and never a path on any disk; parts are joined by `/`.

    Raises:
        InvalidFile: it is empty, too long, absolute, or holds what no name should.
    """
    if not isinstance(name, str) or not 1 <= len(name) <= LONGEST_NAME:
        raise InvalidFile(f"a file's name is a text of 1 to {LONGEST_NAME} characters")
    if "\\" in name or any(unicodedata.category(letter)[0] == "C" for letter in name):
        raise InvalidFile(f"{name!r} names no file: no backslashes, no control characters")
    if any(part.strip() in {"", ".", ".."} for part in name.split("/")):
        raise InvalidFile(f"{name!r} names no file: it is relative, and no part is empty, . or ..")
    return name


def typed(media_type: str) -> str:
    """Give a media type as it is, if it is one, like text/plain; without parameters.

    Raises:
        InvalidFile: it is none.
    """
    if MEDIA_TYPE.fullmatch(media_type) is None:
        raise InvalidFile(f"{media_type!r} is no media type like text/plain, without parameters")
    return media_type


def read(raw: Any) -> File:
    """Read what the state holds under a name.

    Raises:
        InvalidFile: it is no file.
    """
    if not isinstance(raw, Mapping) or raw.keys() != {"digest", "size", "media_type"}:
        raise InvalidFile("a file is an object of digest, size and media_type")
    known, size = raw["digest"], raw["size"]
    if not isinstance(known, str) or DIGEST.fullmatch(known) is None:
        raise InvalidFile("a file's digest is SHA-256, as 64 small hexadecimal digits")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise InvalidFile("a file's size is a number of bytes")
    return File(digest=known, size=size, media_type=typed(str(raw["media_type"])))


def listed(channel: Any) -> dict[str, File]:
    """Read a state's files, by name.

    Raises:
        InvalidFile: they are not what a state may hold.
    """
    if not isinstance(channel, Mapping):
        raise InvalidFile("files are an object of names")
    if len(channel) > MOST_FILES:
        raise InvalidFile(f"a run has {MOST_FILES} files at most")
    return {named(name): read(raw) for name, raw in sorted(channel.items())}


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChannel(Channel):
    """Names united, a later task's first; a name with nothing is gone."""

    reducer: Reducer = Reducer.MERGE

    def merge(self, name: str, before: Any, writes: Sequence[Json]) -> Any:
        """Take the writes of one super-step, in order.

        Raises:
            InvalidWrite: what is left names what is no file, or too many.
        """
        united = Channel.merge(self, name, before, writes)
        left = {file: raw for file, raw in united.items() if raw is not None}
        try:
            listed(left)
        except InvalidFile as error:
            raise InvalidWrite(f"channel {name!r}: {error}") from error
        return left


FILE_CHANNEL: Final = FileChannel()
