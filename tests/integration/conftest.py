"""A room with a real engine over a real database, for the tests of the engine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from tests.contract.conftest import engine_pool, system_pool  # noqa: F401 - fixtures

if TYPE_CHECKING:
    from tests.integration.engine_room import Room


@pytest.fixture
def room(
    engine_pool: Any,  # noqa: F811
    system_pool: Any,  # noqa: F811
    tenant: UUID,
    other_tenant: UUID,
) -> Iterator[Room]:
    """An engine at work for this test's tenant, who allows everything that was granted."""
    from tests.contract.postgres_ground import PostgresGround
    from tests.integration.engine_room import Room

    ground = PostgresGround(
        tenant=str(tenant), pool=engine_pool, system=system_pool, strange=lambda: other_tenant
    )
    with Room.over(ground) as made:
        made.allow_everything()
        yield made
