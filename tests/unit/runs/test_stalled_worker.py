"""A worker that stands still between writing an effect down and sending it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from runs.agents import Context, Node, Program, graph
from runs.core.effects import EffectState
from runs.ports import Lease, Put, PutEffect, Settled
from runs.testing import MemoryStore
from runs.testing.dying import Fate
from runs.testing.playing import Played
from runs.testing.world import MemoryWorld
from tests.unit.runs import desk


class Stalling(MemoryStore):
    """The answer to the first claim is a long time on its way."""

    stalls = [timedelta(minutes=20)]

    def put_effect(self, lease: Lease, put: PutEffect, before: Sequence[Settled]) -> Put:
        answer = super().put_effect(lease, put, before)
        if put.state is EffectState.CLAIMED and self.stalls:
            clock: Any = self.clock
            clock.forward(clock() + self.stalls.pop())
        return answer


async def paying(ctx: Context) -> dict[str, Any]:
    return {"output": await ctx.tool("desk.pay", order=1, amount=5)}


def test_what_a_worker_that_stood_still_would_have_sent_is_left_to_whoever_holds_the_run() -> None:
    desk.world.forget()
    main = graph(Node(name="main", run=paying), start="main")
    program = Program(name="it", version="1", tools=("desk.*",), graph=main)
    played = Played(program, MemoryWorld(programs={"1": program}), Fate(frozenset()))
    played.store = Stalling(played.clock)

    played._start(None, None, None)

    assert (played.state, played.output) == ("succeeded", "paid 5 for 1")
    assert len(played.calls) == 1
    assert played.effects[0].attempts == 2
