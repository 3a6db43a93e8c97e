"""A run that was cancelled is never shown as completed, however late the word came."""

from __future__ import annotations

from typing import Any

from policy.core.actor import SYSTEM
from runs.agents import Node, Program, SyncContext, graph
from runs.operations.cancel import cancel_run
from tests.integration.engine_room import Room


def test_a_cancel_in_the_last_super_step_ends_the_run_as_cancelled(room: Room) -> None:
    def cancelled_meanwhile(ctx: SyncContext) -> dict[str, Any]:
        from uuid import UUID

        with room.scope():
            cancel_run(UUID(ctx.run_id), by=SYSTEM, reason="changed my mind", now=room.now())
        return {"output": "too late"}

    shape = graph(Node(name="main", run=cancelled_meanwhile), start="main")

    run_id = room.play(Program(name="late", version="1", graph=shape))

    assert room.state(run_id) == "cancelled"
    assert room.output(run_id) is None
