"""One engine alone, that no worker helps: `python -m agentops.bench.alone`.

It carries runs itself and sends no nudge, so that it knows where each of them stands. A line of
JSON in, one out: the seconds to claim and load a run at a checkpoint, or to take one more step:

    {"load": 1000}      {"seconds": 0.0011}
    {"resume": 1000}    {"seconds": 0.0034}
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from agentops.child import say

if TYPE_CHECKING:
    from uuid import UUID

    from runs.advance import Engine
    from runs.ports import Nudge

MANY: Final = 1000
"""So many runs has this process room for: those it leaves keep their seats."""
FAR: Final = 3600.0
ENOUGH: Final = 1_000_000


def main() -> None:
    """Answer lines until there are no more."""
    import django  # noqa: PLC0415 - only this process needs it

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agentops.settings")
    django.setup()
    from agentops.bench.submit import set_up  # noqa: PLC0415
    from runs.process import begin  # noqa: PLC0415

    begin(MANY)
    tenant_id = set_up("alone")
    _leave(tenant_id, 5)  # connections open, statements are prepared
    say({"ready": True})
    for line in sys.stdin:
        asked: dict[str, Any] = json.loads(line)
        if "load" in asked:
            say({"seconds": _load(tenant_id, asked["load"])})
        else:
            say({"seconds": _resume(tenant_id, asked["resume"])})


def _engine(super_steps: int) -> Engine:
    """Make an engine that stops after so many super-steps."""
    from runs.advance import Burst  # noqa: PLC0415
    from runs.process import engine  # noqa: PLC0415

    burst = Burst(super_steps=super_steps, seconds=FAR)
    return replace(engine(), burst=burst, send=lambda _nudges: None)


def _leave(tenant_id: UUID, steps: int) -> Nudge:
    """Carry a run so far, and leave it queued."""
    from runs.ports import Nudge  # noqa: PLC0415

    nudge = Nudge(tenant_id=str(tenant_id), run_id=str(_accepted(tenant_id, steps)))
    _engine(steps).advance(nudge)
    return nudge


def _accepted(tenant_id: UUID, steps: int) -> UUID:
    """Accept a run; nobody listens where its nudge is sent."""
    from policy import tenancy  # noqa: PLC0415
    from policy.core.actor import SYSTEM  # noqa: PLC0415
    from runs.operations.start import StartRun, start_run  # noqa: PLC0415

    command = StartRun(agent="rereading", input={"steps": ENOUGH, "at": steps}, by=SYSTEM)
    with tenancy.scope(tenant_id):
        return start_run(command, now=datetime.now(UTC))


def _load(tenant_id: UUID, steps: int) -> float:
    nudge = _leave(tenant_id, steps)
    shell = _engine(1).shell
    began = time.perf_counter()
    claimed = shell.store.claim(nudge.tenant_id, nudge.run_id, worker=shell.worker, ttl=FAR)
    seconds = time.perf_counter() - began
    if claimed is None or claimed.lease.super_step != steps:
        raise RuntimeError(f"the run was not left at checkpoint {steps}")
    return seconds


def _resume(tenant_id: UUID, steps: int) -> float:
    nudge = _leave(tenant_id, steps)
    engine = _engine(1)
    began = time.perf_counter()
    advanced = engine.advance(nudge)
    seconds = time.perf_counter() - began
    if advanced != "chained":
        raise RuntimeError(f"one more step ended as {advanced}")
    return seconds


if __name__ == "__main__":
    main()
