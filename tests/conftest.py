"""The suite's ground: real servers, a database of its own for each process, no Django test runner.

Unit and architecture tests open no connection. Everything else runs against PostgreSQL
and Redis, embedded or given by DATABASE_URL and REDIS_URL; rows are committed for real,
and tests stay apart by working in tenants of their own.
"""

from __future__ import annotations

import compileall
import contextlib
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings

from agentops import servers

ROOT = Path(__file__).resolve().parent.parent
CODE = ("agentops", "runs", "tools", "gateway", "policy")
PURE = ("tests/unit", "tests/architecture")
NOWHERE = {
    "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nowhere",
    "REDIS_URL": "redis://127.0.0.1:1/0",
}
ground = contextlib.ExitStack()

# How fast inputs are made says how busy the machine is, not whether the code is right.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")


def needs_servers(config: pytest.Config) -> bool:
    """Say whether any test that was asked for talks to a server."""
    paths = [str(arg).split("::")[0] for arg in config.args]
    return not all(path.removeprefix(f"{ROOT}/").startswith(PURE) for path in paths)


def pytest_configure(config: pytest.Config) -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "agentops.settings"
    os.environ["AGENTOPS_SECRET_KEY"] = "a secret of the tests"
    os.environ["AGENTOPS_DEBUG"] = "1"
    os.environ.setdefault("PYTHONDONTWRITEBYTECODE", "1")
    if needs_servers(config):
        prepare_servers(config)
    else:
        os.environ.update(NOWHERE)
    import django

    django.setup()


def prepare_servers(config: pytest.Config) -> None:
    """Start servers once for the session; give each process that runs tests its own database."""
    spreads = bool(getattr(config.option, "numprocesses", None))
    is_worker = hasattr(config, "workerinput")
    if not is_worker:
        compile_code()
        ground.enter_context(servers.for_tests())
    if not spreads or is_worker:
        state, own = ground.enter_context(servers.scratch(durable=False))
        os.environ.update(own.environment())
        os.environ["AGENTOPS_STATE"] = str(state)


def compile_code() -> None:
    """Compile the code once, instead of in each of the hundreds of processes that tests start."""
    for folder in CODE:
        compileall.compile_dir(ROOT / folder, quiet=2)


def pytest_unconfigure() -> None:
    if "django" in sys.modules:
        from django.db import connections

        for connection in connections.all(initialized_only=True):
            connection.close()
            close_pool = getattr(connection, "close_pool", None)
            if close_pool is not None and connection.settings_dict["OPTIONS"].get("pool"):
                close_pool()
    ground.close()


@pytest.fixture(scope="session")
def migrated() -> None:
    """A database at the code's schema."""
    done = subprocess.run(
        [sys.executable, "manage.py", "migrate", "--verbosity", "0"],
        cwd=ROOT,
        env={**os.environ, "AGENTOPS_DATABASE_ROLE": "system"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    make_room()


def make_room(slots: int = 100_000) -> None:
    """Let so many runs be worked on at once: tests leave runs behind that nobody ends."""
    import psycopg

    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        connection.execute("DELETE FROM runs_workerslots")
        connection.execute("INSERT INTO runs_workerslots VALUES ('tests', %s, 'infinity')", [slots])


@pytest.fixture
def tenant(migrated: None) -> Iterator[UUID]:  # noqa: ARG001 - wanted for what it does
    """A tenant of this test's own. Open `tenancy.scope(tenant)` to touch its rows."""
    from django.db import connection

    from policy.operations.create_tenant import create_tenant

    slug = f"t-{secrets.token_hex(6)}"
    yield create_tenant(slug, slug, policy=None)
    connection.close()


@pytest.fixture
def other_tenant(migrated: None) -> UUID:  # noqa: ARG001 - wanted for what it does
    """Somebody else."""
    from policy.operations.create_tenant import create_tenant

    slug = f"o-{secrets.token_hex(6)}"
    return create_tenant(slug, slug, policy=None)
