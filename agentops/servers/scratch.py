"""Servers for commands that measure or prove, and for tests: nothing of them is left behind.

Where servers are given, a command gets a database of its own on them, with a random name and a
Redis prefix to match. With a kept folder the name is recorded in it and the database stays, so
that the same command goes on after everything was killed.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final, LiteralString
from urllib.parse import urlsplit, urlunsplit

import psycopg
import redis
from psycopg import sql

from agentops.servers import given
from agentops.servers.accounts import remove_home
from agentops.servers.errors import ServerUnavailable, StateInUse
from agentops.servers.locks import only_one
from agentops.servers.running import Servers, open_state, running
from agentops.supervisor import end_leftovers

NAME_FILE: Final = "database-name.txt"
PREFIX: Final = "agentops-"
MARK: Final = "temporary"
OLD_SECONDS: Final = 60.0
SCAN: Final = 500


@contextlib.contextmanager
def scratch(
    folder: Path | None = None,
    *,
    database_url: str | None = None,
    redis_url: str | None = None,
    durable: bool = True,
) -> Iterator[tuple[Path, Servers]]:
    """Yield a state folder and servers that nobody else uses.

    Servers are given by the arguments or by DATABASE_URL and REDIS_URL in the environment.
    Without `folder` all of it is gone at the end. With `folder` all of it stays, and the same
    folder finds the same data again, also after a SIGKILL.

    Raises:
        StateInUse: another command runs on `folder` now.
        ServerUnavailable: a server does not answer or cannot be started.
    """
    with contextlib.ExitStack() as stack:
        state = folder or stack.enter_context(_temporary_state())
        open_state(state)
        name = _scratch_name(state)
        redis_url = redis_url or os.environ.get("REDIS_URL")
        given_url = database_url or os.environ.get("DATABASE_URL")
        own_url = (
            stack.enter_context(_own_database(given_url, name, keep=bool(folder)))
            if given_url
            else None
        )
        servers = stack.enter_context(
            running(state, database_url=own_url, redis_url=redis_url, durable=durable)
        )
        if redis_url and not folder:
            stack.callback(forget_keys, redis_url, name)
        yield state, replace(servers, redis_prefix=name)


@contextlib.contextmanager
def for_tests() -> Iterator[dict[str, str]]:
    """Have servers for a test session, and their URLs in `os.environ`.

    The first process of the session starts what the environment does not give; processes that
    inherit its environment (pytest-xdist's workers) find the URLs there and start nothing.
    """
    wanted = ("DATABASE_URL", "REDIS_URL", "AGENTOPS_REDIS_PREFIX")
    before = {name: os.environ.get(name) for name in wanted}
    if all(before.values()):
        yield {name: os.environ[name] for name in wanted}
        return
    with (
        _temporary_state() as state,
        running(
            state,
            database_url=before["DATABASE_URL"],
            redis_url=before["REDIS_URL"],
            durable=False,
        ) as servers,
    ):
        chosen = replace(servers, redis_prefix=_scratch_name(state)).environment()
        os.environ.update(chosen)
        try:
            yield chosen
        finally:
            _restore(before)


def forget_keys(redis_url: str, prefix: str) -> int:
    """Delete every Redis key that starts with `prefix`, and return how many there were."""
    with redis.Redis.from_url(redis_url, socket_timeout=5) as client:
        found = list(client.scan_iter(match=f"{prefix}*", count=SCAN))
        for start in range(0, len(found), SCAN):
            client.unlink(*found[start : start + SCAN])
    return len(found)


def _restore(before: dict[str, str | None]) -> None:
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def remove_abandoned() -> list[Path]:
    """Remove what scratch commands of ours that were killed left; return their folders.

    Only a folder that was made to be removed has the mark. It is abandoned when nobody holds
    its lock; while it is young, its command may be about to take it.
    """
    removed = []
    for state in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        try:
            found = (state / MARK).lstat()
            if found.st_uid != os.geteuid() or time.time() - found.st_mtime < OLD_SECONDS:
                continue
            with only_one(state):
                for run in ("run/servers", "run"):
                    end_leftovers(state / run)
                remove_home(state)
                shutil.rmtree(state, ignore_errors=True)
        except (OSError, StateInUse):
            continue
        removed.append(state)
    return removed


@contextlib.contextmanager
def _temporary_state() -> Iterator[Path]:
    remove_abandoned()
    state = Path(tempfile.mkdtemp(prefix=PREFIX))
    (state / MARK).touch()
    if os.geteuid() == 0:
        state.chmod(0o711)
    try:
        yield state
    finally:
        remove_home(state)
        shutil.rmtree(state, ignore_errors=True)


def _scratch_name(state: Path) -> str:
    """Return the random name that belongs to this state folder."""
    file = state / NAME_FILE
    if not file.exists():
        new = file.with_suffix(".new")
        new.write_text(f"agentops_scratch_{secrets.token_hex(6)}\n", encoding="utf-8")
        new.replace(file)
    return file.read_text(encoding="utf-8").strip()


@contextlib.contextmanager
def _own_database(url: str, name: str, *, keep: bool) -> Iterator[str]:
    given.postgres_version(url)
    _create_database(url, name)
    try:
        yield _with_database(url, name)
    finally:
        if not keep:
            _drop_database(url, name)


def _create_database(url: str, name: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        try:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        except psycopg.errors.DuplicateDatabase:
            return
        except psycopg.errors.InsufficientPrivilege:
            role = connection.info.user
            raise ServerUnavailable(
                f"role {role} may not create databases, and this command needs one of its own:\n"
                f"ALTER ROLE {role} CREATEDB CREATEROLE, or unset DATABASE_URL."
            ) from None


def _drop_database(url: str, name: str) -> None:
    """Drop the database, and the application role that `migrate` made for it.

    Only a member of that role may end connections that are still open under it.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        found = connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [f"{name}_app"])
        if found.rowcount:
            connection.execute(_naming("GRANT {} TO CURRENT_USER", f"{name}_app"))
        try:
            connection.execute(_naming("DROP DATABASE IF EXISTS {} WITH (FORCE)", name))
        except psycopg.errors.InsufficientPrivilege:
            # FORCE may not end an autovacuum worker, which is nobody's; without it, it is ended.
            connection.execute(_naming("DROP DATABASE IF EXISTS {}", name))
        connection.execute(_naming("DROP ROLE IF EXISTS {}", f"{name}_app"))


def _naming(statement: LiteralString, name: str) -> sql.Composed:
    return sql.SQL(statement).format(sql.Identifier(name))


def _with_database(url: str, name: str) -> str:
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, f"/{name}", parts.query, ""))
