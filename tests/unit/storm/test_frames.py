"""Reading PostgreSQL's messages along: which request has it commit."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest

from agentops.processes import CHECKOUT
from agentops.storm.frames import Client, Server
from runs import store
from runs.statements import Statement

STARTUP = struct.pack("!II", 8, 196608)
STATEMENTS = [one for one in vars(store).values() if isinstance(one, Statement)]
CHANGES = re.compile(r"\b(INSERT INTO|UPDATE|DELETE FROM|FOR NO KEY|PERFORM runs_(?!tenant))")


def message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


def started() -> Client:
    client = Client()
    client.feed(STARTUP)
    return client


def test_encryption_is_declined_and_the_rest_forwarded() -> None:
    asks = struct.pack("!II", 8, 80877103)

    assert Client().feed(asks + STARTUP) == (1, STARTUP, False)


def test_a_commit_is_seen() -> None:
    assert started().feed(message(b"Q", b"COMMIT\0"))[2]


def test_another_query_is_no_commit() -> None:
    assert not started().feed(message(b"Q", b"SELECT 1\0"))[2]


def test_a_prepared_save_is_seen_when_it_is_used() -> None:
    client = started()
    prepared = client.feed(message(b"P", b"s1\0SELECT runs_save($1)\0\0\0"))[2]
    used = client.feed(message(b"B", b"\0s1\0\0\0"))[2]

    assert (prepared, used) == (False, True)


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda one: one.function)
def test_whatever_the_store_writes_with_is_a_commit_and_nothing_that_only_reads(
    statement: Statement,
) -> None:
    client = started()
    client.feed(message(b"P", statement.name + b"\0" + statement.text + b"\0\0\0"))

    used = client.feed(message(b"B", b"\0" + statement.name + b"\0\0\0"))[2]

    assert used == (not statement.reads) == bool(CHANGES.search(body(statement.function)))


def body(function: str) -> str:
    """Find what a function of the schema does."""
    texts = [path.read_text("utf-8") for path in Path(CHECKOUT, "runs", "sql").glob("*.sql")]
    parts = [text.split(f"FUNCTION {function}(", 1) for text in texts]
    (found,) = [part[1] for part in parts if len(part) > 1]
    return found.split("END $$;", 1)[0]


def test_a_message_in_pieces_is_put_together() -> None:
    client, whole = started(), message(b"Q", b"COMMIT\0")

    assert [client.feed(whole[:3])[2], client.feed(whole[3:])[2]] == [False, True]


def test_the_server_is_idle_only_outside_a_transaction() -> None:
    server = Server()

    assert [server.feed(message(b"Z", state)) for state in (b"T", b"I")] == [False, True]
