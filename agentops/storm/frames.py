"""PostgreSQL's messages, read along as they pass. Pure: bytes in, facts out."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Final

from runs import store
from runs.statements import Statement

ENCRYPTION: Final = frozenset({80877103, 80877104})
HEAD: Final = 5
FIRST: Final = 8
WRITES: Final = tuple(
    f"{statement.function}(".encode()
    for statement in vars(store).values()
    if isinstance(statement, Statement) and not statement.reads
)
"""What a statement of the engine calls that commits by itself: all that the store declares."""


@dataclass(slots=True)
class Frames:
    """Cuts a stream into messages: a byte of kind, four of length, the rest."""

    _left: bytes = b""

    def feed(self, chunk: bytes) -> list[tuple[bytes, bytes]]:
        """Give the messages that are whole now."""
        data, found, at = self._left + chunk, [], 0
        while len(data) - at >= HEAD:
            end = at + 1 + int.from_bytes(data[at + 1 : at + HEAD], "big")
            if end > len(data):
                break
            found.append((data[at : at + 1], data[at + HEAD : end]))
            at = end
        self._left = data[at:]
        return found


@dataclass(slots=True)
class Client:
    """What a client says."""

    _started: bool = False
    _first: bytes = b""
    _frames: Frames = field(default_factory=Frames)
    _queries: dict[bytes, bytes] = field(default_factory=dict)

    def feed(self, chunk: bytes) -> tuple[int, bytes, bool]:
        """Give how often it asked for encryption, what is to be forwarded, and if it commits."""
        if self._started:
            return 0, chunk, self._commits(chunk)
        self._first += chunk
        refused = 0
        while len(self._first) >= FIRST:
            length, code = struct.unpack("!II", self._first[:FIRST])
            if code in ENCRYPTION:
                refused, self._first = refused + 1, self._first[length:]
                continue
            if len(self._first) < length:
                break
            forward, self._first, self._started = self._first, b"", True
            self._frames.feed(forward[length:])
            return refused, forward, False
        return refused, b"", False

    def _commits(self, chunk: bytes) -> bool:
        commits = False
        for kind, body in self._frames.feed(chunk):
            commits |= self._commit(kind, body)
        return commits

    def _commit(self, kind: bytes, body: bytes) -> bool:
        """Tell whether a message has the server commit; remember statements by their names."""
        if kind == b"P":
            name, query, *_ = body.split(b"\0")
            self._queries[name] = query
        elif kind == b"B":
            return _writes(self._queries.get(body.split(b"\0", 2)[1], b""))
        elif kind == b"Q":
            return body.upper().startswith(b"COMMIT") or _writes(body)
        return False


@dataclass(slots=True)
class Server:
    """What the server answers."""

    _frames: Frames = field(default_factory=Frames)

    def feed(self, chunk: bytes) -> bool:
        """Tell whether the server now waits for the next statement, outside a transaction."""
        frames = self._frames.feed(chunk)
        return (b"Z", b"I") in frames


def _writes(query: bytes) -> bool:
    return any(name in query for name in WRITES)
