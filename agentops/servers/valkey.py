"""The embedded Valkey of one state folder. It keeps nothing: messages are only nudges."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import redis

from agentops import process_ids
from agentops.servers import binaries
from agentops.servers.accounts import Home
from agentops.servers.ports import LOOPBACK
from agentops.servers.secret_file import secret, write_private
from agentops.supervisor import Process

CONFIGURATION: Final = """\
bind {host}
port {port}
requirepass {password}
dir "{folder}"
save ""
appendonly no
maxmemory-policy noeviction
daemonize no
"""


@dataclass(frozen=True, slots=True)
class Cache:
    """One Valkey: its program, its folder, its port and its password."""

    program: Path
    home: Home
    port: int
    password: str

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@{LOOPBACK}:{self.port}/0"


def cache(state: Path, home: Home, port: int) -> Cache:
    return Cache(binaries.valkey(home.account), home, port, secret(state, "valkey"))


def process(made: Cache) -> Process:
    """Write the configuration (the password must not stand on a command line) and describe it."""
    folder = made.home.private_folder("valkey").resolve()
    file = folder / "valkey.conf"
    write_private(
        file,
        CONFIGURATION.format(host=LOOPBACK, port=made.port, password=made.password, folder=folder),
    )
    made.home.own(file)
    return Process(
        name="valkey",
        command=[str(made.program), str(file)],
        environment={"LC_ALL": "C"},
        folder=Path("/"),
        before_start=lambda: _clear(folder),
        is_ready=lambda: answers(made.url),
        death_signal=signal.SIGTERM,
        account=made.home.account,
    )


def answers(url: str) -> bool:
    try:
        with redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


def version(url: str) -> str:
    """Return what the server calls itself, e.g. `Valkey 9.1.2`.

    Raises:
        redis.RedisError: it does not answer.
    """
    with redis.Redis.from_url(url, socket_timeout=5, socket_connect_timeout=5) as client:
        about = client.info("server")
    valkey = about.get("valkey_version")
    return f"Valkey {valkey}" if valkey else f"Redis {about['redis_version']}"


def _clear(folder: Path) -> None:
    for left in list(process_ids.working_in(folder, program="valkey-server")):
        process_ids.end(left, first=signal.SIGTERM, grace=2)
