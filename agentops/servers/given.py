"""Servers that somebody else runs: used as they are, and only asked whether they answer."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit, urlunsplit

import psycopg
import redis

from agentops.servers import valkey
from agentops.servers.errors import ServerUnavailable

OLDEST_POSTGRES: Final = 150000
PATIENCE_SECONDS: Final = 5


def postgres_version(url: str) -> str:
    """Return e.g. `PostgreSQL 15.19`.

    Raises:
        ServerUnavailable: it does not answer, or is too old; says what to do.
    """
    try:
        with psycopg.connect(url, connect_timeout=PATIENCE_SECONDS) as connection:
            number = connection.info.server_version
            name = connection.info.parameter_status("server_version") or ""
    except psycopg.Error as error:
        reason = str(error).strip().replace("\n", "; ")
        raise ServerUnavailable(
            f"PostgreSQL at {without_password(url)} does not answer: {reason}\n"
            "Start it, correct DATABASE_URL, or unset it to use the embedded PostgreSQL."
        ) from None
    if number < OLDEST_POSTGRES:
        raise ServerUnavailable(
            f"PostgreSQL at {without_password(url)} is {name}; 15 or later is needed.\n"
            "Upgrade it, or unset DATABASE_URL to use the embedded PostgreSQL."
        )
    return f"PostgreSQL {name.split(' ')[0]}"


def redis_version(url: str) -> str:
    """Return e.g. `Redis 7.0.15` or `Valkey 9.1.2`.

    Raises:
        ServerUnavailable: it does not answer; says what to do.
    """
    try:
        return valkey.version(url)
    except (redis.RedisError, ValueError) as error:
        raise ServerUnavailable(
            f"Redis at {without_password(url)} does not answer: {error}\n"
            "Start it, correct REDIS_URL, or unset it to use the embedded Valkey."
        ) from None


def without_password(url: str) -> str:
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    shown = f"{user.split(':')[0]}{at}{host}"
    return urlunsplit((parts.scheme, shown, parts.path, "", ""))
