"""The message of a nudge: Celery's own, made once and ready but for what differs between two.

Celery works out a task's route, options and headers anew for each message, which costs more than
all the rest of sending it. Of the nudges of one process only the arguments and the id differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from celery import Celery
from kombu import Producer
from uuid_utils import uuid7


class Envelope:
    """Sends one task of an application, to the queue that its router names.

    Protocol: Celery's task message version 2, https://docs.celeryq.dev/en/stable/internals/protocol.html
    """

    def __init__(self, app: Celery, task: str) -> None:
        made = app.amqp.create_task_message("", task, (), {}, ignore_result=True)
        self._headers: dict[str, Any] = made.headers
        self._properties: dict[str, Any] = made.properties
        self._embedded = made.body[2]
        self._queue: str = app.amqp.router.route({}, task)["queue"].name

    def send(self, producer: Producer, arguments: Mapping[str, object]) -> None:
        """Publish the task with these keyword arguments; raises what the broker's client does."""
        task_id = str(uuid7())
        producer.publish(
            orjson.dumps(((), arguments, self._embedded)).decode(),
            exchange="",
            routing_key=self._queue,
            content_type="application/json",
            content_encoding="utf-8",
            headers={
                **self._headers,
                "id": task_id,
                "root_id": task_id,
                "kwargsrepr": repr(arguments),
            },
            retry=False,
            **{**self._properties, "correlation_id": task_id},
        )
