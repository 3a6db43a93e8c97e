"""The embedded PostgreSQL of one state folder.

    initdb ──▶ postgres.new ──rename──▶ postgres ──▶ running ──SIGINT──▶ stopped

The cluster gets its final name only when it is whole, so that a start that was killed in the
middle is made again. Nobody but the processes of a cluster works in its data folder: what is
found there before a start was left by a killed one, whatever the pid file says.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, LiteralString

import psycopg
from psycopg import sql

from agentops import process_ids
from agentops.servers import binaries
from agentops.servers.accounts import PRIVATE, Home
from agentops.servers.errors import ServerUnavailable
from agentops.servers.ports import LOOPBACK
from agentops.servers.secret_file import secret, write_private
from agentops.supervisor import Process, as_account

ROLE: Final = "agentops"
DATABASE: Final = "agentops"
SETTINGS: Final[Mapping[str, str]] = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "fsync": "on",
    "synchronous_commit": "on",
    "password_encryption": "scram-sha-256",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    "autovacuum_naptime": "5s",  # a fresh database is planned badly until it is first analysed
}
FORGETFUL: Final = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
ENVIRONMENT: Final = {"LC_ALL": "C", "PATH": "/usr/bin:/bin"}


@dataclass(frozen=True, slots=True)
class Cluster:
    """One PostgreSQL: its programs, its data, its port and its passwords."""

    programs: Path
    home: Home
    port: int
    superuser_password: str
    role_password: str
    settings: Mapping[str, str]

    @property
    def data(self) -> Path:
        return self.home.folder.resolve() / "postgres"

    @property
    def url(self) -> str:
        return f"postgresql://{ROLE}:{self.role_password}@{LOOPBACK}:{self.port}/{DATABASE}"

    @property
    def superuser_url(self) -> str:
        return f"postgresql://postgres:{self.superuser_password}@{LOOPBACK}:{self.port}/postgres"


def cluster(state: Path, home: Home, port: int, *, durable: bool) -> Cluster:
    """Describe the cluster of a state folder; with `durable` off, a power cut may lose data."""
    return Cluster(
        programs=binaries.postgres(home.account),
        home=home,
        port=port,
        superuser_password=secret(state, "postgres"),
        role_password=secret(state, "agentops"),
        settings=dict(SETTINGS) if durable else {**SETTINGS, **FORGETFUL},
    )


def initialise(made: Cluster) -> None:
    """Make the cluster's data folder, whole or not at all."""
    if made.data.exists():
        return
    new = made.data.with_name("postgres.new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=PRIVATE)
    made.home.own(new)
    password = made.data.with_name("password.txt")
    write_private(password, made.superuser_password + "\n")
    made.home.own(password)
    answer = subprocess.run(  # noqa: S603 - a program of our own wheel
        [made.programs / "initdb", *_initdb_options(made, new, password)],
        env=ENVIRONMENT,
        cwd="/",
        text=True,
        capture_output=True,
        check=False,
        **as_account(made.home.account),
    )
    password.unlink()
    if answer.returncode:
        raise ServerUnavailable(f"PostgreSQL's initdb failed in {new}:\n{answer.stderr.strip()}")
    new.rename(made.data)


def process(made: Cluster) -> Process:
    """Describe the server for the supervisor."""
    settings = [part for name, value in made.settings.items() for part in ("-c", f"{name}={value}")]
    return Process(
        name="postgres",
        command=[
            str(made.programs / "postgres"),
            *("-D", str(made.data), "-p", str(made.port), *settings),
        ],
        environment=ENVIRONMENT,
        folder=Path("/"),
        before_start=lambda: _clear(made.data),
        is_ready=lambda: _is_ready(made.data),
        stop_signal=signal.SIGINT,
        death_signal=signal.SIGINT,
        grace_seconds=10,
        account=made.home.account,
    )


def prepare(made: Cluster) -> str:
    """Make the role and the database that are not there yet; return the server's version."""
    with psycopg.connect(made.superuser_url, autocommit=True) as connection:
        verb = "ALTER" if _exists(connection, "pg_roles", "rolname", ROLE) else "CREATE"
        connection.execute(
            sql.SQL(
                verb + " ROLE {} LOGIN NOSUPERUSER CREATEROLE CREATEDB NOBYPASSRLS PASSWORD {}"
            ).format(sql.Identifier(ROLE), made.role_password)
        )
        if not _exists(connection, "pg_database", "datname", DATABASE):
            connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER {}").format(
                    sql.Identifier(DATABASE), sql.Identifier(ROLE)
                )
            )
        return str(connection.info.parameter_status("server_version"))


def _exists(
    connection: psycopg.Connection, table: LiteralString, column: LiteralString, name: str
) -> bool:
    query = sql.SQL("SELECT 1 FROM {} WHERE {} = %s").format(
        sql.Identifier(table), sql.Identifier(column)
    )
    return connection.execute(query, [name]).fetchone() is not None


def _initdb_options(made: Cluster, folder: Path, password: Path) -> list[str]:
    quick = [] if made.settings["fsync"] == "on" else ["--no-sync"]
    return [
        *("-D", str(folder), "-U", "postgres", f"--pwfile={password}", "--auth=scram-sha-256"),
        *("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
        *quick,
    ]


def _clear(data: Path) -> None:
    """Leave nothing of a killed server: no process in the data folder, no pid file."""
    for left in list(process_ids.working_in(data, program="postgres")):
        process_ids.end(left, first=signal.SIGINT, grace=5)
    (data / "postmaster.pid").unlink(missing_ok=True)


def _is_ready(data: Path) -> bool:
    try:
        lines = (data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    return len(lines) > 7 and lines[7].strip() == "ready"  # noqa: PLR2004 - its eighth line
