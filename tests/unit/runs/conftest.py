from __future__ import annotations

import pytest

from tests.unit.runs import desk


@pytest.fixture(autouse=True)
def _new_world() -> None:
    """Nothing happened yet outside."""
    desk.world.forget()
