"""What doctor makes of what workers say, and do not say, of the storage of artifacts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.conf import settings
from django.test import override_settings

from agentops.celery import app
from agentops.dev import checks
from runs.artifacts.probing import PROBE
from runs.tasks import look_for_probe
from tests.processes import eventually

WRONG = {"BACKEND": "runs.artifacts.directory.Directory", "OPTIONS": {"bucket": "acme"}}
NAME = "worker-of-this-test@here"

pytestmark = pytest.mark.timeout(60)


@contextmanager
def worker(answer: Callable[..., Any]) -> Iterator[None]:
    """Be somebody who answers pings, and the question for a probe with this."""
    over = threading.Event()
    ready = threading.Event()

    def pong(_state: Any, **_: Any) -> dict[str, str]:
        return {"ok": "pong"}

    def listen() -> None:
        with app.connection_for_read() as connection, connection.channel() as channel:
            control: Any = app.control
            mailbox = control.mailbox(connection)
            handlers = {"ping": pong, PROBE: answer}
            with mailbox.Node(NAME, channel=channel, handlers=handlers).listen():
                ready.set()
                while not over.is_set():
                    try:
                        connection.drain_events(timeout=0.1)
                    except (TimeoutError, SystemExit):
                        continue

    thread = threading.Thread(target=listen)
    thread.start()
    try:
        assert ready.wait(10)
        assert eventually(lambda: any(NAME in one for one in app.control.ping(timeout=0.5) or ()))
        yield
    finally:
        over.set()
        thread.join()


def look() -> checks.Check:
    [found] = checks.look("artifacts")
    return found


def test_a_worker_that_reads_the_probe_is_named() -> None:
    with worker(look_for_probe):
        found = look()

    assert found.is_good
    assert found.detail.endswith(f"read by {NAME}")


def test_a_worker_that_answers_with_an_error_is_told() -> None:
    def fails(_state: Any, **_: Any) -> None:
        raise TypeError("no such option")

    with worker(fails):
        found = look()

    assert NAME in found.detail
    assert "no such option" in found.detail
    assert "log" in found.cure


def test_a_worker_that_does_not_answer_though_it_is_there_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(checks, "PROBE_SECONDS", 0.5)

    def leaves(_state: Any, **_: Any) -> None:
        raise SystemExit

    with worker(leaves):
        found = look()

    assert f"{NAME} does not say whether it reads" in found.detail
    assert "nothing for 0.5 s" in found.detail
    assert "log" in found.cure


def test_a_worker_whose_storage_cannot_be_made_says_so() -> None:
    with override_settings(STORAGES={**settings.STORAGES, "artifacts": WRONG}):
        told = look_for_probe(None, key="probe-0")

    assert "cannot be made (TypeError" in told["why"]
