"""The loop tells of what foreign code forgot, and is silent of how we unwind it."""

from __future__ import annotations

import asyncio
import gc

import pytest

from runs.loop import IoLoop
from runs.shell import Unwound


@pytest.mark.parametrize(("error", "told"), [(Unwound, 0), (ValueError, 1)])
def test_only_a_real_error_that_nobody_took_is_told(
    caplog: pytest.LogCaptureFixture, error: type[BaseException], told: int
) -> None:
    async def fails() -> None:
        raise error

    async def forgets() -> None:
        task = asyncio.ensure_future(fails())
        await asyncio.wait({task})

    loop = IoLoop()
    loop.run(forgets())
    gc.collect()
    loop.close()

    found = [record for record in caplog.records if "never retrieved" in record.message]
    assert len(found) == told
