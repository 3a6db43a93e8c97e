"""Nudges: messages that leave only if their transaction did, at least once, in no order.

A nudge says "look at this run" and nothing more. Its row is written by the transaction
that makes it necessary; whoever committed sends it at once and removes the row; the
relay sends what was left behind. While the broker is away a breaker keeps senders from
waiting for it: the rows stay, and the relay sends them when it is back.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any
from uuid import UUID

import pybreaker
import structlog
from celery import current_app
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from runs import faults
from runs.envelope import Envelope
from runs.ports import Nudge

log = structlog.get_logger()

ADVANCE = "runs.advance"

BACKTEST = "runs.backtest"

DELIVER = "runs.deliver"

AWAY = (OperationalError, OSError, RedisError, pybreaker.CircuitBreakerError)
"""What a broker that cannot take a message raises: it is away, or full."""

broker = pybreaker.CircuitBreaker(fail_max=3, reset_timeout=2, name="broker")


def send(nudges: Iterable[Nudge]) -> list[Nudge]:
    """Send nudges and give those that left; while the broker is away, none."""
    left: list[Nudge] = []
    for nudge in nudges:
        try:
            faults.point("send.before")
            with broker.calling():
                _publish(nudge)
            faults.point("send.after")
        except AWAY as error:
            log.warning("outbox.broker_away", error_type=type(error).__name__)
            return left
        left.append(nudge)
    return left


def _publish(nudge: Nudge) -> None:
    kwargs: dict[str, object] = {"tenant_id": nudge.tenant_id, "run_id": nudge.run_id}
    if nudge.task:
        kwargs |= {"super_step": nudge.super_step, "task": nudge.task}
    with current_app.producer_pool.acquire(block=True) as producer:
        _envelope().send(producer, kwargs)


@cache
def _envelope() -> Envelope:
    return Envelope(current_app, ADVANCE)


def send_backtest(tenant_id: UUID, backtest_id: UUID) -> bool:
    """Ask a worker to carry a backtest out; False while the broker is away: the sweeper asks again.

    A message of its own queue, so that it waits behind no run and no run waits behind it. Its
    result (progress and counts, no content) is kept under the backtest's id.
    """
    kwargs = {"tenant_id": str(tenant_id), "backtest_id": str(backtest_id)}
    return _send_aside(BACKTEST, kwargs, task_id=str(backtest_id))


def send_notice(tenant_id: UUID, notice_id: UUID) -> bool:
    """Ask for a notice to be delivered; False while the broker is away: the sweeper asks again."""
    kwargs = {"tenant_id": str(tenant_id), "notice_id": str(notice_id)}
    return _send_aside(DELIVER, kwargs, ignore_result=True)


def _send_aside(name: str, kwargs: dict[str, str], **options: Any) -> bool:
    try:
        with broker.calling():
            current_app.send_task(name, kwargs=kwargs, retry=False, **options)
    except AWAY as error:
        log.warning("outbox.broker_away", error_type=type(error).__name__)
        return False
    return True


class Sender:
    """Sends nudges from a worker and removes their rows a little later, many at a time."""

    def __init__(self, forget: Callable[[Sequence[int]], None], *, pause: float = 0.5) -> None:
        self._forget, self._pause = forget, pause
        self._sent: list[int] = []
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)
        self._thread.start()

    def __call__(self, nudges: Iterable[Nudge]) -> None:
        """Send nudges whose rows are committed."""
        left = [nudge.outbox_id for nudge in send(nudges) if nudge.outbox_id is not None]
        with self._lock:
            self._sent.extend(left)

    def flush(self) -> None:
        """Remove the rows of what was sent."""
        with self._lock:
            sent, self._sent = self._sent, []
        if sent:
            self._forget(sent)

    def close(self) -> None:
        """Stop, after removing what was sent."""
        self._stop.set()
        self._thread.join()
        self.flush()

    def _run(self) -> None:
        while not self._stop.wait(self._pause):
            try:
                self.flush()
            except Exception:
                log.warning("outbox.rows_left", exc_info=True)
