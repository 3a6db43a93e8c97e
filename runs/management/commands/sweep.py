"""`manage.py sweep`: the sweeper, until it is told to stop."""

from __future__ import annotations

import itertools
import signal
import threading
from typing import Any

import redis
import structlog
from django.conf import settings
from django.core.management.base import BaseCommand

from runs import outbox
from runs.process import open_pool
from runs.sweep import Sweeper

log = structlog.get_logger()

TIDY_EVERY = 100
"""Rounds between two removals of what is only kept for a day."""


class Command(BaseCommand):
    """Relay messages and look after what nobody holds any more."""

    help = "Run the sweeper: relay, timers, deadlines, leases left behind."
    requires_system_checks = ()

    def add_arguments(self, parser: Any) -> None:
        """Offer a single round."""
        parser.add_argument("--once", action="store_true", help="one round, then exit")

    def handle(self, **options: Any) -> None:
        """Sweep until SIGTERM or SIGINT."""
        stop = threading.Event()
        for ending in (signal.SIGTERM, signal.SIGINT):
            signal.signal(ending, lambda *_: stop.set())
        with (
            redis.Redis.from_url(
                settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2
            ) as broker,
            open_pool(2) as pool,
        ):
            sweeper = Sweeper(
                pool=pool,
                send=outbox.send,
                send_backtest=outbox.send_backtest,
                send_notice=outbox.send_notice,
                backlog=lambda: _backlog(broker),
            )
            for lap in itertools.count():
                self._round(sweeper, broker, tidy=lap % TIDY_EVERY == 0)
                if options["once"] or stop.wait(settings.SWEEP_SECONDS):
                    break

    def _round(self, sweeper: Sweeper, broker: Any, *, tidy: bool) -> None:
        try:
            found = sweeper.round()
            sweeper.analyze()
            if tidy:
                sweeper.tidy()
        except Exception:
            log.warning("sweep.failed", exc_info=True)
            return
        if any(found.values()):
            log.info("sweep.found", **{name: n for name, n in found.items() if n})
        try:
            broker.set(f"{settings.REDIS_PREFIX}:sweeper", "1", ex=15)
        except redis.RedisError:
            log.warning("sweep.broker_away")


def _backlog(broker: Any) -> int:
    try:
        return int(broker.llen(f"{settings.REDIS_PREFIX}:runs"))
    except redis.RedisError:
        return 0
