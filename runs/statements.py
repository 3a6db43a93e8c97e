"""The engine's statements, sent the shortest way: a function, text in, one value out.

A super-step costs a statement or two, and what a driver does around each (a cursor, adapters,
a loop that waits in Python) costs more than the rest of the super-step's Python. So they
are prepared once for each connection, and libpq itself sends them and waits.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import orjson
import psycopg
from psycopg import Connection, pq
from psycopg.errors import error_from_result

ARRAYS_QUOTED: Final = str.maketrans({"\\": r"\\", '"': r"\""})
JSON: Final = 3802
BIGINT: Final = 20
BIGINTS: Final = 1016


class EngineConnection(Connection[tuple[Any, ...]]):
    """A connection that knows when it was last seen to work, and what is prepared on it.

    All know when one of them was last found to be lost: the others may be, too.
    """

    lost_at: ClassVar[float] = 0.0
    seen_at: float = 0.0
    prepared: frozenset[bytes] = frozenset()


@dataclass(frozen=True, slots=True)
class AsJson:
    """A value to be sent as JSON."""

    value: Any

    def encoded(self) -> bytes:
        """Give it as the server reads it."""
        return orjson.dumps(self.value, default=str)


class Statement:
    """One call of a function with so many arguments; its types are the function's own.

    It commits by itself, unless it only `reads`.
    """

    __slots__ = ("function", "name", "reads", "text")

    def __init__(self, function: str, arguments: int, *, reads: bool = False) -> None:
        self.function, self.reads = function, reads
        self.name = f"{function}/{arguments}".encode()
        places = ", ".join(f"${number}" for number in range(1, arguments + 1))
        self.text = f"SELECT {function}({places})".encode()

    def value(self, connection: EngineConnection, args: Iterable[Any]) -> Any:
        """Call the function in a transaction of its own, and give its value.

        Raises:
            psycopg.OperationalError: the connection was lost; nobody knows what became of it.
            psycopg.Error: the server refused it, or an argument cannot be sent.
        """
        libpq = connection.pgconn
        if self.name not in connection.prepared:
            _checked(libpq, libpq.prepare(self.name, self.text))
            connection.prepared |= {self.name}
        written: list[Any] = [sent(arg) for arg in args]
        return _value(_checked(libpq, libpq.exec_prepared(self.name, written)))


def sent(value: Any) -> bytes | None:
    """Write an argument as the server reads it: text, a number, a boolean, JSON, an array."""
    if value is None:
        return None
    if isinstance(value, AsJson):
        return value.encoded()
    if isinstance(value, list | tuple):
        items = (f'"{str(item).translate(ARRAYS_QUOTED)}"' for item in value)
        return _text(f"{{{','.join(items)}}}")
    return _text(value if isinstance(value, str) else repr(value))


def _text(value: str) -> bytes:
    encoded = value.encode()
    if b"\0" in encoded:  # libpq would cut it there
        raise psycopg.DataError("PostgreSQL text cannot contain NUL (0x00)")
    return encoded


def _checked(libpq: pq.abc.PGconn, result: pq.abc.PGresult) -> pq.abc.PGresult:
    if result.status in {pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK}:
        return result
    if libpq.status == pq.ConnStatus.BAD:
        EngineConnection.lost_at = time.monotonic()
        raise psycopg.OperationalError(libpq.get_error_message())
    raise error_from_result(result)


def _value(result: pq.abc.PGresult) -> Any:
    """Read the one value: JSON as what it holds, numbers as such, anything else as text."""
    raw = result.get_value(0, 0)
    if raw is None:
        return None
    oid = result.ftype(0)
    if oid == JSON:
        return orjson.loads(raw)
    if oid == BIGINT:
        return int(raw)
    if oid == BIGINTS:
        return [int(item) for item in raw.strip(b"{}").split(b",") if item]
    return raw.decode()
