"""Work under way is cut when its run is cancelled, lost or given back; nothing outlives a step."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from policy.core.money import Limits
from runs.advance import Advanced, Engine
from runs.agents import Context, Node, Program, SyncContext, graph
from runs.brake import Cut
from runs.core.plan import first_checkpoint
from runs.leases import LeaseKeeper
from runs.loop import IoLoop
from runs.ports import Nudge
from runs.shell import Shell
from runs.testing import Clock, MemoryStore, MemoryWorld, RunRow, people

pytestmark = pytest.mark.timeout(30)
TTL = 0.06
"""Seconds of a lease: a run is looked at every fiftieth of a second."""


@dataclass
class Office:
    """One store, and workers that come and go."""

    node: Callable[..., Any]
    store: MemoryStore = field(default_factory=lambda: MemoryStore(Clock()))
    calls: list[str] = field(default_factory=list)
    timeout: timedelta = timedelta(minutes=10)

    def __post_init__(self) -> None:
        node = Node(name="main", run=self.node, timeout=self.timeout)
        self.program = Program(
            name="it", version="1", tools=("desk.*",), graph=graph(node, start="main")
        )
        self.run = RunRow(tenant_id="here", id="run-1", agent="it", agent_version_id="1")
        first = first_checkpoint(self.program.graph, None)
        self.store.start(self.run, first, budgets={"run": Limits(tool_calls=10)})

    @contextlib.contextmanager
    def worker(self, name: str, **tools: Callable[..., Any]) -> Iterator[Engine]:
        keeper = LeaseKeeper(lambda leases: self.store.renew(leases, ttl=TTL), ttl=TTL)
        stand_ins = {f"desk.{tool}": function for tool, function in tools.items()}
        world = MemoryWorld(programs={"1": self.program}, stand_ins=stand_ins)
        shell = Shell(
            store=self.store,
            world=world,
            loop=IoLoop(),
            clock=self.store.clock,
            mint=lambda: "approval",
            worker=name,
            ttl=TTL,
        )
        try:
            yield Engine(shell=shell, keeper=keeper, send=lambda _: None)
        finally:
            shell.loop.close()
            keeper.close()

    def advance(self, engine: Engine) -> Advanced:
        return engine.advance(Nudge(tenant_id="here", run_id="run-1"))

    def states(self) -> list[str]:
        return [row.state for _, row in sorted(self.run.effects.items())]

    def cancel(self) -> None:
        people.cancel(self.store, self.run, "not needed")


async def for_ever() -> None:
    await asyncio.Event().wait()


async def note(ctx: Context) -> dict[str, Any]:
    return {"output": await ctx.tool("desk.note", text="hello")}


async def pay(ctx: Context) -> dict[str, Any]:
    return {"output": await ctx.tool("desk.pay", order=1, amount=5)}


def note_at_once(ctx: SyncContext) -> dict[str, Any]:
    return {"output": ctx.tool("desk.note", text="hello")}


async def notes(ctx: Context) -> dict[str, Any]:
    return {"output": [await ctx.tool("desk.note", text=text) for text in ("one", "two")]}


@pytest.mark.parametrize("node", [note, note_at_once])
def test_a_cancel_reaches_a_call_under_way(node: Callable[..., Any]) -> None:
    office, cut = Office(node), []

    async def hangs(text: str) -> str:
        office.cancel()
        try:
            await for_ever()
        finally:
            cut.append(text)
        return text

    with office.worker("one", note=hangs) as engine:
        assert office.advance(engine) is Advanced.ENDED

    assert cut == ["hello"]
    assert office.run.state == "cancelled"
    assert office.states() == ["unknown"], "nobody knows whether it happened"
    assert office.store.budgets["run"].spent.tool_calls == 1


def test_a_cancel_reaches_a_node_that_asks_for_nothing() -> None:
    async def waits(_: Context) -> None:
        office.cancel()
        await for_ever()

    office = Office(waits)
    with office.worker("one") as engine:
        assert office.advance(engine) is Advanced.ENDED

    assert office.run.state == "cancelled"


def test_a_node_that_will_not_be_cancelled_is_left_and_its_run_ends_all_the_same() -> None:
    async def stubborn(_: Context) -> dict[str, Any]:
        office.cancel()
        for _n in range(5):
            with contextlib.suppress(asyncio.CancelledError):
                await for_ever()
        return {"output": "done all the same"}

    office = Office(stubborn)
    with office.worker("one") as engine:
        office.advance(engine)

    assert (office.run.state, office.run.output) == ("cancelled", None)


def test_a_worker_that_lost_its_lease_stops_working_on_the_run() -> None:
    office = Office(note)

    async def is_overtaken(text: str) -> str:
        office.run.token += 1
        await for_ever()
        return text

    with office.worker("one", note=is_overtaken) as engine:
        assert office.advance(engine) is Advanced.LEASE_LOST

    assert (office.run.state, office.states()) == ("running", ["claimed"])


def test_a_call_under_way_is_cut_at_shutdown_and_asked_again_elsewhere_at_once() -> None:
    office = Office(note)

    async def hangs(text: str) -> str:
        engine.shell.draining.set()
        engine.keeper.stop_all(Cut.SHUTDOWN)
        await for_ever()
        return text

    with office.worker("one", note=hangs) as engine:
        assert office.advance(engine) is Advanced.RELEASED
    assert (office.run.state, office.run.crashes) == ("queued", 0)
    assert office.states() == ["claimed"]

    def answers(text: str) -> str:
        return f"noted {text}"

    with office.worker("two", note=answers) as engine:
        assert office.advance(engine) is Advanced.ENDED
    assert office.run.output == "noted hello"


def test_a_call_that_must_not_be_repeated_and_was_cut_goes_to_a_person() -> None:
    office = Office(pay)

    async def hangs(order: int, amount: int) -> str:
        engine.keeper.stop_all(Cut.SHUTDOWN)
        await for_ever()
        return f"{order} {amount}"

    with office.worker("one", pay=hangs) as engine:
        assert office.advance(engine) is Advanced.RELEASED
    with office.worker("two", pay=hangs) as engine:
        assert office.advance(engine) is Advanced.SET_ASIDE

    assert (office.run.state, office.run.reason) == ("interrupted", "outcome_unknown")
    assert office.states() == ["unknown"]


def test_no_effect_begins_once_a_worker_shuts_down() -> None:
    office, seen = Office(notes), []

    def first(text: str) -> str:
        engine.shell.draining.set()
        seen.append(f"one: {text}")
        return text

    with office.worker("one", note=first) as engine:
        assert office.advance(engine) is Advanced.RELEASED
    assert office.states() == ["done"]

    def second(text: str) -> str:
        seen.append(f"two: {text}")
        return text

    with office.worker("two", note=second) as engine:
        assert office.advance(engine) is Advanced.ENDED
    assert seen == ["one: one", "two: two"]
    assert office.run.output == ["one", "two"]


def test_a_worker_that_shuts_down_takes_nothing_new_and_passes_it_on() -> None:
    office = Office(note)
    sent: list[Nudge] = []

    with office.worker("one") as engine:
        engine.shell.draining.set()
        passing = Engine(shell=engine.shell, keeper=engine.keeper, send=sent.extend)
        assert office.advance(passing) is Advanced.PASSED_ON

    assert [nudge.run_id for nudge in sent] == ["run-1"]
    assert office.run.token == 0


def test_what_a_node_started_on_the_loop_does_not_outlive_it() -> None:
    left: list[asyncio.Task[None]] = []

    async def careless(_: Context) -> dict[str, Any]:
        begun = asyncio.Event()

        async def parent() -> None:
            left.append(asyncio.create_task(for_ever()))
            begun.set()
            await for_ever()

        left.append(asyncio.create_task(parent()))
        await begun.wait()
        return {"output": "done"}

    office = Office(careless)
    with office.worker("one") as engine:
        office.advance(engine)
        ended = [task.done() for task in left]

    assert office.run.output == "done"
    assert ended == [True, True]


def test_a_node_that_does_nothing_for_longer_than_it_may_is_a_timeout() -> None:
    async def idle(_: Context) -> None:
        await for_ever()

    office = Office(idle, timeout=timedelta(milliseconds=50))
    with office.worker("one") as engine:
        office.advance(engine)

    assert (office.run.state, office.run.error_class) == ("failed", "timeout")


def test_waiting_for_a_call_is_not_a_nodes_own_time() -> None:
    async def slow(text: str) -> str:
        await asyncio.sleep(0.3)
        return text

    office = Office(note, timeout=timedelta(milliseconds=100))
    with office.worker("one", note=slow) as engine:
        office.advance(engine)

    assert (office.run.state, office.run.output) == ("succeeded", "hello")


def test_a_lease_kept_by_this_process_is_looked_at_when_somebody_calls() -> None:
    office, rounds = Office(note), []

    def renew(leases: Any) -> Any:
        rounds.append(leases)
        return office.store.renew(leases, ttl=3600)

    keeper = LeaseKeeper(renew, ttl=3600)
    with office.worker("one") as engine:
        slow = Engine(shell=engine.shell, keeper=keeper, send=lambda _: None)

        async def hangs(text: str) -> str:
            office.cancel()
            keeper.look_at("run-1")
            await for_ever()
            return text

        engine.shell.world.stand_ins["desk.note"] = hangs  # type: ignore[attr-defined]
        assert office.advance(slow) is Advanced.ENDED
    keeper.close()

    assert office.run.state == "cancelled"
    assert len(rounds) == 1


@pytest.mark.parametrize("is_waited_for", [True, False])
def test_a_node_that_asks_many_things_at_once_is_stopped_without_a_word(
    caplog: pytest.LogCaptureFixture, *, is_waited_for: bool
) -> None:
    async def asks_at_once(ctx: Context) -> dict[str, Any]:
        asked = [asyncio.ensure_future(ctx.tool("desk.note", text=f"{n}")) for n in range(4)]
        if not is_waited_for:
            await for_ever()
        return {"output": await asyncio.gather(*asked)}

    office = Office(asks_at_once)

    async def hangs(text: str) -> str:
        if text == "3":
            office.cancel()
        await for_ever()
        return text

    with office.worker("one", note=hangs) as engine:
        assert office.advance(engine) is Advanced.ENDED
        gc.collect()

    assert office.run.state == "cancelled"
    assert not [record for record in caplog.records if "never retrieved" in record.message]
