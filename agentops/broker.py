"""The broker as Celery reaches it: kombu's Redis transport, with one client for each channel.

kombu makes a client for each command of a channel, and in redis-py making one costs as much as
all the rest of publishing a message. A client over a pool may be used for any number of commands.
"""

from __future__ import annotations

from typing import Any

from kombu.transport import redis


class Channel(redis.Channel):
    """A channel that keeps the client of its pool for as long as it has that pool."""

    _kept: Any = None

    def _create_client(self, asynchronous: bool = False) -> Any:  # noqa: FBT001, FBT002 - kombu's
        if asynchronous:
            return super()._create_client(asynchronous=True)  # type: ignore[misc] # no stub
        if self._kept is None or self._kept.connection_pool is not self.pool:
            self._kept = super()._create_client()  # type: ignore[misc] # no stub
        return self._kept


class Transport(redis.Transport):
    """kombu's Redis transport with these channels."""

    Channel = Channel
