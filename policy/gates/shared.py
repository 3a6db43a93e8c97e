"""The Redis that processes share their counts through; while it is away each counts alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import structlog
from django.conf import settings

if TYPE_CHECKING:
    from redis import Redis

log = structlog.get_logger()
T = TypeVar("T")

PATIENCE: Final = 0.5
"""Seconds that Redis has to answer."""
PAUSE: Final = 1.0
"""Seconds for which a Redis that did not answer is not asked again."""


class Shared:
    """A door to Redis that says "away" instead of raising, and does not wait for the dead.

    Who opens one closes it; the process's own, `shared()`, stays open as long as the process.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._client: Redis | None = None
        self._away_until = 0.0

    def ask(self, question: Callable[[Redis], T]) -> T | None:
        """Ask Redis; None while it is away."""
        if time.monotonic() < self._away_until:
            return None
        from redis.exceptions import RedisError  # noqa: PLC0415 - only who asks pays for it

        try:
            return question(self._connected())
        except (RedisError, OSError) as error:
            self._away_until = time.monotonic() + PAUSE
            log.warning("gates.redis_away", error_type=type(error).__name__)
            return None

    def close(self) -> None:
        """Give the connections back; who asks again opens others."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _connected(self) -> Redis:
        if self._client is None:
            import redis  # noqa: PLC0415 - only who asks pays for it

            options: dict[str, Any] = {
                "socket_timeout": PATIENCE,
                "socket_connect_timeout": PATIENCE,
            }
            self._client = redis.Redis.from_url(self._url, **options)
        return self._client


_shared: Shared | None = None


def shared() -> Shared:
    """Give this process's door to the installation's Redis."""
    global _shared  # noqa: PLW0603 - one connection pool per process
    if _shared is None:
        _shared = Shared(settings.REDIS_URL)
    return _shared
