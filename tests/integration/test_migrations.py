"""A new database is made in one go; an installed one goes on from where it is, to the same."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import psycopg

from agentops import servers
from agentops.processes import CHECKOUT, ROLE
from agentops.servers import binaries

HALFWAY = """
import django
django.setup()
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from policy.tenancy.security import ensure_app_role

ensure_app_role(connection)
executor = MigrationExecutor(connection)
executor.loader.replace_migrations = False
executor.loader.build_graph()
executor.migrate([
    ("contenttypes", "0002_remove_content_type_name"),
    ("gateway", "0002_row_security"),
    ("tools", "0004_reconcile_tools"),
    ("policy", "0010_approvals"),
    ("runs", "0008_backtests"),
])
"""
"""A database that was installed before the migrations were folded, and not brought up to date."""

TENANT = "INSERT INTO policy_tenant (id, slug, name, created_at) VALUES (%s, %s, 'Old', now())"
WEIGHT = "SELECT name, weight, answers FROM policy_tenant WHERE id = %s"


def run(variables: Mapping[str, str], *command: str) -> str:
    done = subprocess.run(  # noqa: S603 - our own command lines
        [sys.executable, *command],
        cwd=CHECKOUT,
        env={**os.environ, **variables, ROLE: "system"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def schema(url: str) -> list[str]:
    """Dump everything but the rows: tables, constraints, indexes, triggers, grants, policies."""
    done = subprocess.run(  # noqa: S603 - a program of the embedded server
        [binaries.postgres(None) / "pg_dump", "--schema-only", "--no-owner", url],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    same = done.stdout.replace(urlsplit(url).path.removeprefix("/") + "_app", "app")
    return [line for line in same.splitlines() if not line.startswith(("\\restrict", "\\unrestr"))]


def remember(url: str) -> UUID:
    tenant = uuid4()
    with psycopg.connect(url) as connection:
        connection.execute(TENANT, [tenant, f"old-{tenant.hex[:8]}"])
    return tenant


def test_an_installed_database_goes_on_to_what_a_new_one_begins_with() -> None:
    with (
        servers.scratch(durable=False) as (_, new),
        servers.scratch(durable=False) as (_, installed),
    ):
        run(new.environment(), "manage.py", "migrate", "--verbosity", "0")
        run(installed.environment(), "-c", HALFWAY)
        tenant = remember(installed.database_url)

        run(installed.environment(), "manage.py", "migrate", "--verbosity", "0")

        assert schema(installed.database_url) == schema(new.database_url)
        with psycopg.connect(installed.database_url) as connection:
            assert connection.execute(WEIGHT, [tenant]).fetchall() == [("Old", 1, {})]
        left = run(installed.environment(), "manage.py", "showmigrations", "--plan")
        assert "[ ]" not in left
