"""Start the servers of one state folder, and stop them again."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from agentops.servers import given, postgres, valkey
from agentops.servers.accounts import Home, home_of
from agentops.servers.errors import ServerUnavailable
from agentops.servers.locks import only_one
from agentops.servers.ports import free_port
from agentops.supervisor import ProcessFailed, Supervisor, end_leftovers

START_SECONDS: Final = 30.0
PORT_TRIES: Final = 5
DEFAULT_PREFIX: Final = "agentops"

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Servers:
    """A PostgreSQL and a Redis that answer, and what to call them in front of people."""

    database_url: str
    redis_url: str
    database_kind: str
    redis_kind: str
    redis_prefix: str
    data: Path

    def environment(self) -> dict[str, str]:
        """Return what a process of the product needs to find them."""
        return {
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.redis_url,
            "AGENTOPS_REDIS_PREFIX": self.redis_prefix,
        }


@contextlib.contextmanager
def running(
    state: Path,
    *,
    database_url: str | None = None,
    redis_url: str | None = None,
    durable: bool = True,
) -> Iterator[Servers]:
    """Have both servers up until the end of the `with` block; alone on this state folder.

    Whatever an earlier, killed command left running on this state folder is ended first.

    Raises:
        StateInUse: another command runs on it now.
        ServerUnavailable: a given server does not answer, or ours cannot be started.
    """
    open_state(state)
    with only_one(state), contextlib.ExitStack() as stack:
        end_leftovers(state / "run")
        supervisor = stack.enter_context(Supervisor(state / "run" / "servers", state / "logs"))
        home = home_of(state) if not (database_url and redis_url) else Home(state, None)
        if not redis_url:
            redis_url, redis_kind = _start_valkey(state, home, supervisor)
        else:
            redis_kind = given.redis_version(redis_url)
        if not database_url:
            database_url, database_kind = _start_postgres(state, home, supervisor, durable=durable)
        else:
            database_kind = given.postgres_version(database_url)
        yield Servers(
            database_url=database_url,
            redis_url=redis_url,
            database_kind=database_kind,
            redis_kind=redis_kind,
            redis_prefix=os.environ.get("AGENTOPS_REDIS_PREFIX", DEFAULT_PREFIX),
            data=home.folder,
        )


def open_state(state: Path) -> None:
    """Make the state folder, or check that we may write into the one that is there.

    Raises:
        ServerUnavailable: we may not.
    """
    try:
        if not state.exists():
            state.mkdir(parents=True)
            state.chmod(0o711 if os.geteuid() == 0 else 0o700)
        (state / "logs").mkdir(exist_ok=True)
    except OSError as error:
        raise ServerUnavailable(
            f"cannot use the state folder {state}: {error.strerror}. "
            "Give another one with AGENTOPS_STATE"
        ) from None


def _start_postgres(
    state: Path, home: Home, supervisor: Supervisor, *, durable: bool
) -> tuple[str, str]:
    def start(port: int) -> postgres.Cluster:
        made = postgres.cluster(state, home, port, durable=durable)
        postgres.initialise(made)
        supervisor.start(postgres.process(made))
        supervisor.wait_ready("postgres", timeout=START_SECONDS)
        return made

    made = _on_some_port(start, partial(supervisor.stop, "postgres"))
    return made.url, f"embedded PostgreSQL {postgres.prepare(made)}"


def _start_valkey(state: Path, home: Home, supervisor: Supervisor) -> tuple[str, str]:
    def start(port: int) -> valkey.Cache:
        made = valkey.cache(state, home, port)
        supervisor.start(valkey.process(made))
        supervisor.wait_ready("valkey", timeout=START_SECONDS)
        return made

    made = _on_some_port(start, partial(supervisor.stop, "valkey"))
    return made.url, f"embedded {valkey.version(made.url)}"


def _on_some_port(start: Callable[[int], T], stop: Callable[[], None]) -> T:
    """Start on a free port; on another one if somebody takes it in between."""
    failure = ""
    for _ in range(PORT_TRIES):
        try:
            return start(free_port())
        except ProcessFailed as failed:
            stop()
            failure = str(failed)
            if "already in use" not in failure:
                break
        except OSError as error:
            failure = str(error)
            break
    raise ServerUnavailable(failure)
