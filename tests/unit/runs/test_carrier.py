"""Work that waits holds no thread."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from runs.advance import Engine
from runs.agents import Context, Node, Program, graph
from runs.brake import Cut
from runs.carrier import Carrier, Work, finish
from runs.core.plan import first_checkpoint
from runs.leases import LeaseKeeper
from runs.loop import IoLoop
from runs.ports import Nudge
from runs.shell import Shell
from runs.testing import Clock, MemoryStore, MemoryWorld, RunRow, people
from tests.processes import eventually

pytestmark = pytest.mark.timeout(30)
NAMED = contextvars.ContextVar("named", default="nobody")
LONG = 60.0


@pytest.fixture
def loop() -> Iterator[IoLoop]:
    made = IoLoop()
    yield made
    made.close()


async def ask(ctx: Context) -> dict[str, Any]:
    return {"output": await ctx.tool("desk.ask")}


@dataclass
class Desk:
    """One engine, many runs, and a tool that answers when it is told to."""

    loop: IoLoop
    waiting: int = 0
    store: MemoryStore = field(default_factory=lambda: MemoryStore(Clock()))

    def __post_init__(self) -> None:
        self.answer = asyncio.Event()
        nodes = graph(Node(name="main", run=ask), start="main")
        self.program = Program(name="it", version="1", tools=("desk.*",), graph=nodes)
        self.keeper = LeaseKeeper(lambda held: self.store.renew(held, ttl=0.06), ttl=0.06)
        world = MemoryWorld(programs={"1": self.program}, stand_ins={"desk.ask": self._ask})
        shell = Shell(
            store=self.store,
            world=world,
            loop=self.loop,
            clock=self.store.clock,
            mint=lambda: "approval",
            worker="worker-1",
            ttl=0.06,
        )
        self.engine = Engine(shell=shell, keeper=self.keeper, send=lambda _: None)

    def start(self, number: int) -> Nudge:
        row = RunRow(tenant_id="here", id=f"run-{number}", agent="it", agent_version_id="1")
        self.store.start(row, first_checkpoint(self.program.graph, None))
        return Nudge(tenant_id="here", run_id=row.id)

    async def _ask(self) -> str:
        self.waiting += 1
        await self.answer.wait()
        return "done"

    def let_go(self) -> None:
        self.loop.run(self._let_go())

    async def _let_go(self) -> None:
        self.answer.set()

    def states(self) -> set[str]:
        return {row.state for row in self.store.runs.values()}


@pytest.fixture
def desk(loop: IoLoop) -> Iterator[Desk]:
    made = Desk(loop)
    yield made
    made.keeper.close()


def test_fifty_runs_wait_and_one_thread_began_them(desk: Desk) -> None:
    carrier = Carrier(desk.loop, threads=2, most=50)

    for number in range(50):
        carrier.begin(desk.engine.following(desk.start(number)))

    assert eventually(lambda: desk.waiting == 50)
    assert carrier.carried == 50
    assert len(desk.keeper.held()) == 50
    desk.let_go()
    assert carrier.wait_until_idle(LONG)
    assert desk.states() == {"succeeded"}
    assert not desk.keeper.held()


def test_a_waiting_run_is_cut_when_it_is_cancelled_and_given_back_at_the_end(desk: Desk) -> None:
    carrier = Carrier(desk.loop, threads=1, most=2)
    for number in range(2):
        carrier.begin(desk.engine.following(desk.start(number)))
    assert eventually(lambda: desk.waiting == 2)

    people.cancel(desk.store, desk.store.runs["run-0"], "not needed")
    assert eventually(lambda: carrier.carried == 1)
    desk.keeper.stop_all(Cut.SHUTDOWN)

    assert carrier.wait_until_idle(LONG)
    assert desk.store.runs["run-0"].state == "cancelled"
    assert desk.store.runs["run-1"].state == "queued"


def test_whoever_begins_one_too_many_waits_for_it(desk: Desk) -> None:
    carrier = Carrier(desk.loop, threads=1, most=1)
    carrier.begin(desk.engine.following(desk.start(0)))
    second = threading.Thread(
        target=carrier.begin, args=(desk.engine.following(desk.start(1)),), daemon=True
    )

    second.start()

    assert eventually(lambda: desk.waiting == 2)
    assert second.is_alive()
    assert carrier.carried == 1
    desk.let_go()
    second.join(LONG)
    assert carrier.wait_until_idle(LONG)
    assert desk.states() == {"succeeded"}


async def failing() -> None:
    raise ValueError("no")


def test_work_handles_what_its_wait_raised_and_keeps_its_context(loop: IoLoop) -> None:
    seen: list[Any] = []

    def work() -> Work[None]:
        token = NAMED.set("somebody")
        try:
            yield failing()
        except ValueError as error:
            seen.append((str(error), NAMED.get()))
        NAMED.reset(token)

    carrier = Carrier(loop, threads=1, most=1)
    carrier.begin(work())

    assert carrier.wait_until_idle(LONG)
    assert seen == [("no", "somebody")]
    assert NAMED.get() == "nobody"


def test_work_that_fails_leaves_room_for_the_next(loop: IoLoop) -> None:
    def work() -> Work[None]:
        yield asyncio.sleep(0)
        raise RuntimeError("ours to find")

    carrier = Carrier(loop, threads=1, most=1)
    for _ in range(3):
        carrier.begin(work())
        assert carrier.wait_until_idle(LONG)


def test_in_one_thread_it_comes_to_the_same(loop: IoLoop) -> None:
    async def two() -> int:
        return 2

    def work() -> Work[int]:
        first = yield two()
        second: int = yield two()
        return int(first) * second

    assert finish(work(), loop.run) == 4
