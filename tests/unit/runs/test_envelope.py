"""A nudge's message: what Celery itself would have sent, made for less."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest
from celery import Celery
from kombu import Queue

from runs.envelope import Envelope

TASK = "runs.advance"
ARGUMENTS = {"tenant_id": "t", "run_id": "r", "super_step": 3, "task": "fetch/1"}
OF_ITS_OWN = {"id", "root_id", "argsrepr", "kwargsrepr"}


@pytest.fixture
def app() -> Celery:
    made = Celery("here", broker="memory://")
    made.conf.task_queues = [Queue("runs"), Queue("others")]
    made.conf.task_default_queue = "runs"
    made.conf.task_serializer = "json"
    return made


def _sent(app: Celery) -> tuple[dict[str, Any], Any, dict[str, Any]]:
    with app.connection_for_read() as connection:
        message = connection.SimpleQueue("runs").get(timeout=1)
        message.ack()
        return message.headers, message.payload, message.properties


def _send(app: Celery) -> None:
    with app.producer_pool.acquire(block=True) as producer:
        Envelope(app, TASK).send(producer, ARGUMENTS)


def test_it_says_what_celery_says(app: Celery) -> None:
    app.send_task(TASK, kwargs=ARGUMENTS, ignore_result=True)
    headers, payload, properties = _sent(app)

    _send(app)
    own_headers, own_payload, own_properties = _sent(app)

    assert own_payload == payload
    assert {**own_headers, **dict.fromkeys(OF_ITS_OWN)} == {
        **headers,
        **dict.fromkeys(OF_ITS_OWN),
    }
    assert own_properties["delivery_info"] == properties["delivery_info"]
    assert own_properties["delivery_mode"] == properties["delivery_mode"]
    assert own_properties.keys() == properties.keys()


def test_each_has_an_id_of_its_own_by_which_it_is_correlated(app: Celery) -> None:
    _send(app)
    _send(app)
    (first, _, about), (second, _, _) = _sent(app), _sent(app)

    assert UUID(first["id"]) != UUID(second["id"])
    assert first["id"] == first["root_id"] == about["correlation_id"]


def test_it_shows_what_it_carries(app: Celery) -> None:
    _send(app)
    headers, payload, _ = _sent(app)

    assert headers["kwargsrepr"] == repr(ARGUMENTS)
    assert payload[1] == json.loads(json.dumps(ARGUMENTS))


def test_it_goes_where_the_router_sends_it(app: Celery) -> None:
    app.conf.task_routes = {TASK: {"queue": "others"}}
    _send(app)

    with app.connection_for_read() as connection:
        assert connection.SimpleQueue("others").get(timeout=1).headers["task"] == TASK
