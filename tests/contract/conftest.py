"""The grounds of the store's contract. Django is set up when the fixtures run, not before."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

if TYPE_CHECKING:
    from tests.contract.grounds import Ground
    from tests.contract.postgres_ground import PostgresGround


@pytest.fixture(scope="session")
def engine_pool(migrated: None) -> Iterator[Any]:  # noqa: ARG001
    """The engine's own connections, as the application's role."""
    from runs.process import open_pool

    with open_pool(8) as pool:
        yield pool


@pytest.fixture(scope="session")
def system_pool(migrated: None) -> Iterator[Any]:  # noqa: ARG001
    """The sweeper's connections, as the system's role."""
    from psycopg_pool import ConnectionPool

    with ConnectionPool(os.environ["DATABASE_URL"], min_size=1, max_size=2, open=True) as pool:
        yield pool


@pytest.fixture(params=["memory", "postgres", "postgres in groups"])
def ground(request: pytest.FixtureRequest) -> Ground:
    """A store of each kind."""
    from tests.contract.grounds import MemoryGround

    if request.param == "memory":
        return MemoryGround()
    made: Ground = request.getfixturevalue("postgres" if request.param == "postgres" else "grouped")
    return made


@pytest.fixture
def postgres(
    engine_pool: Any, system_pool: Any, tenant: UUID, other_tenant: UUID
) -> PostgresGround:
    from tests.contract.postgres_ground import PostgresGround

    return PostgresGround(
        tenant=str(tenant), pool=engine_pool, system=system_pool, strange=lambda: other_tenant
    )


@pytest.fixture
def grouped(engine_pool: Any, system_pool: Any, tenant: UUID, other_tenant: UUID) -> PostgresGround:
    from tests.contract.postgres_ground import PostgresGround

    return PostgresGround(
        tenant=str(tenant),
        pool=engine_pool,
        system=system_pool,
        strange=lambda: other_tenant,
        groups=True,
    )
