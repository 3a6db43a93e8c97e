"""Reading PostgreSQL's messages along: which request has it commit."""

from __future__ import annotations

import struct

from agentops.storm.frames import Client, Server

STARTUP = struct.pack("!II", 8, 196608)


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


def test_a_message_in_pieces_is_put_together() -> None:
    client, whole = started(), message(b"Q", b"COMMIT\0")

    assert [client.feed(whole[:3])[2], client.feed(whole[3:])[2]] == [False, True]


def test_the_server_is_idle_only_outside_a_transaction() -> None:
    server = Server()

    assert [server.feed(message(b"Z", state)) for state in (b"T", b"I")] == [False, True]
