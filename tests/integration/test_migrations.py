"""A new database is made in one go; an installed one goes on from where it is, to the same."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import psycopg

from agentops import servers
from agentops.processes import CHECKOUT, ROLE
from agentops.servers import binaries

FOLDED = """
import django
django.setup()
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder
from policy.tenancy.security import ensure_app_role

ensure_app_role(connection)
executor = MigrationExecutor(connection)
folded = [node for node in executor.loader.graph.nodes if "_squashed_" in node[1]]
executor.migrate(folded)
recorder = MigrationRecorder(connection)
for app, _ in folded:
    recorder.record_applied(app, "0001_initial")
print(*sorted(app for app, _ in folded))
"""
"""A developer's database that went through the steps that were folded, and not further."""

APPS = ["gateway", "policy", "runs", "tools"]
TENANT = "INSERT INTO policy_tenant (id, slug, name, created_at) VALUES (%s, %s, 'Old', now())"
BY_CHANCE = re.compile(r"^\\(un)?restrict|ALTER COLUMN \S+ SET \(")
"""Keys of a dump, and marks that some builds of the server put on columns by themselves."""
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
    return [line for line in same.splitlines() if not BY_CHANCE.search(line)]


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
        assert run(installed.environment(), "-c", FOLDED).split() == APPS
        tenant = remember(installed.database_url)

        run(installed.environment(), "manage.py", "migrate", "--verbosity", "0")

        assert schema(installed.database_url) == schema(new.database_url)
        with psycopg.connect(installed.database_url) as connection:
            assert connection.execute(WEIGHT, [tenant]).fetchall() == [("Old", 1, {})]
        left = run(installed.environment(), "manage.py", "showmigrations", "--plan")
        assert "[ ]" not in left
