"""Celery's way to the broker: kombu's own, with one client for a channel."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from kombu import Connection, Queue
from kombu.transport import redis as plain

from agentops.broker import Channel, Transport


@pytest.fixture
def queue() -> Queue:
    return Queue(f"broker-{uuid4()}", auto_delete=True)


@pytest.fixture
def ours() -> Iterator[Connection]:
    with Connection(os.environ["REDIS_URL"], transport=Transport) as made:
        yield made


def _taken(queue: Queue) -> object:
    """Take a message as any kombu would."""
    with Connection(os.environ["REDIS_URL"], transport=plain.Transport) as other:
        assert type(other.default_channel) is plain.Channel
        message = queue(other.default_channel).get(no_ack=True)
        return message and message.payload


def _publish(connection: Connection, queue: Queue, what: str) -> None:
    connection.Producer().publish(what, routing_key=queue.name, exchange="")


def test_what_it_sends_anybody_takes_and_one_client_sends_it_all(
    ours: Connection, queue: Queue
) -> None:
    channel: Any = ours.default_channel
    _publish(ours, queue, "first")
    client = channel._create_client()
    _publish(ours, queue, "second")

    assert type(channel) is Channel
    assert (_taken(queue), _taken(queue), _taken(queue)) == ("first", "second", None)
    assert channel._create_client() is client


def test_a_channel_whose_connections_were_given_up_gets_another_client(
    ours: Connection, queue: Queue
) -> None:
    channel: Any = ours.default_channel
    _publish(ours, queue, "before")
    before = channel._create_client()

    channel._disconnect_pools()
    _publish(ours, queue, "after")

    assert channel._create_client() is not before
    assert (_taken(queue), _taken(queue)) == ("before", "after")


def test_the_product_uses_it() -> None:
    from agentops.celery import app

    for connection in (app.connection_for_write(), app.connection_for_read()):
        assert isinstance(connection.transport, Transport)
        assert connection.as_uri().startswith("redis://")


def test_flower_knows_its_broker() -> None:
    from flower.utils.broker import Broker

    from agentops.celery import app

    uri = app.connection().as_uri(include_password=True)
    assert type(Broker(uri, broker_options={})).__name__ == "Redis"
