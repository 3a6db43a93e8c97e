"""How long a node may take by itself: the time of its calls is theirs."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from math import inf
from typing import Any, cast

from policy.core.outcomes import Done, Outcome
from runs.agents import Context, Node
from runs.asking.asker import Asker
from runs.core.effects import EffectKind
from runs.execute import TaskRun

LATER = 1e9


async def _node(_: Context) -> None:
    """Do nothing."""


@dataclass
class Called:
    """A call whose answer the test gives."""

    answer: asyncio.Future[Outcome] = field(default_factory=asyncio.Future)
    is_out: asyncio.Event = field(default_factory=asyncio.Event)
    kind: EffectKind = EffectKind.TIMER

    async def outcome(self) -> Outcome:
        self.is_out.set()
        return await self.answer

    def told(self, answer: Outcome) -> None:
        assert answer == Done(value=None)


def test_a_node_is_not_idle_at_the_very_moment_at_which_its_call_comes_back() -> None:
    found: list[float] = []

    async def scene() -> None:
        node = Node(name="slow", run=_node, timeout=timedelta(seconds=60))
        run, call = TaskRun(asker=cast("Asker", None), node=node), Called()
        asked = asyncio.ensure_future(run._ask(cast("Any", call)))
        await call.is_out.wait()
        # Looked at between the end of the call's task and what that end sets going.
        call.answer.add_done_callback(lambda _: found.append(run.patience(LATER, inf)))
        call.answer.set_result(Done(value=None))
        await asked

    asyncio.run(scene())

    assert found == [60.0]
