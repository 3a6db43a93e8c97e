"""A store that goes away: what was known is kept, nobody crashed, and the run goes on at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from policy.core.money import Limits
from runs.advance import Advanced, Engine
from runs.agents import Context, Node, Program, SyncContext, graph
from runs.brake import Brake
from runs.committing import Committer
from runs.core.plan import first_checkpoint
from runs.errors import StoreAway
from runs.leases import LeaseKeeper
from runs.loop import IoLoop
from runs.ports import Claimed, Nudge
from runs.shell import Shell
from runs.testing import Clock, MemoryStore, MemoryWorld, RunRow, play
from tests.processes import eventually
from tools.core.spec import ToolSpec

pytestmark = pytest.mark.timeout(30)
LEASE = 60.0
PRICE = Decimal("0.25")
STATEMENTS = {
    "claim",
    "claim_task",
    "claim_again",
    "put_effect",
    "finish_task",
    "save",
    "release",
}
FIRST, SECOND = "before it was carried out", "after it was carried out"


def test_a_store_that_goes_away_while_a_node_reads_does_not_fail_the_run() -> None:
    absences = ["the connection is closed"]

    def reads(_: SyncContext) -> dict[str, Any]:
        if absences:
            raise StoreAway(absences.pop())
        return {}

    program = Program(
        name="it", version="1", graph=graph(Node(name="main", run=reads), start="main")
    )
    done = play(program, None)

    assert (done.state, done.error, absences) == ("succeeded", "", [])


class Flaky:
    """A store in memory that goes away around its n-th statement of a kind, so many times."""

    def __init__(self, inner: MemoryStore | None = None) -> None:
        self.inner = inner or MemoryStore(Clock())
        self.kind, self.left, self.when, self.times = "", 0, FIRST, 0
        self.told: list[str] = []

    def away(self, kind: str, number: int = 1, when: str = FIRST, *, times: int = 1) -> None:
        self.kind, self.left, self.when, self.times = kind, number, when, times

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.inner, name)
        return partial(self._told, name, found) if name in STATEMENTS else found

    def _told(self, name: str, call: Callable[..., Any], *given: Any, **named: Any) -> Any:
        self.told.append(name)
        self.left -= self.kind in {name, "anything"}
        if self.kind not in {name, "anything"} or self.left > 0 or not self.times:
            return call(*given, **named)
        self.times -= 1
        if self.when == SECOND:
            call(*given, **named)
        raise StoreAway(f"{name}, {self.when}")


class Priced(MemoryWorld):
    def tool(self, tenant_id: str, name: str) -> ToolSpec:
        return replace(super().tool(tenant_id, name), price=PRICE)


async def two(ctx: Context) -> dict[str, Any]:
    await ctx.tool("till.pay", item="one")
    return {"output": await ctx.tool("till.pay", item="two")}


async def one(ctx: Context) -> dict[str, Any]:
    await ctx.tool("till.pay", item="one")
    return {}


def at_once(ctx: SyncContext) -> dict[str, Any]:
    ctx.tool("till.pay", item="one")
    return {"output": ctx.tool("till.pay", item="two")}


@dataclass
class Office:
    """A worker, a store that goes away, and what was paid for real."""

    node: Callable[..., Any] = two
    start: tuple[str, ...] = ("a",)
    store: Any = field(default_factory=Flaky)
    paid: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        nodes = graph(*(Node(name=name, run=self.node) for name in self.start), start=self.start)
        self.program = Program(name="it", version="1", tools=("till.*",), graph=nodes)
        self.world = Priced(programs={"1": self.program}, stand_ins={"till.pay": self._pay})
        self.shell = Shell(
            store=self.store,
            world=self.world,
            loop=IoLoop(),
            clock=self.store.clock,
            mint=lambda: "approval",
            worker="worker-1",
            ttl=LEASE,
        )
        self.keeper = LeaseKeeper(lambda held: self.store.renew(held, ttl=LEASE), ttl=LEASE)
        self.engine = Engine(shell=self.shell, keeper=self.keeper, send=lambda _: None)

    def _pay(self, item: str) -> str:
        self.paid.append(item)
        return f"paid {item}"

    def begin(self, name: str = "run-1") -> Nudge:
        run = RunRow(tenant_id="here", id=name, agent="it", agent_version_id="1")
        self.store.start(run, first_checkpoint(self.program.graph, None), budgets={name: Limits()})
        return Nudge(tenant_id="here", run_id=name)

    def row(self, name: str = "run-1") -> RunRow:
        found: RunRow = self.store.runs[name]
        return found

    def follow(self, *nudges: Nudge) -> list[Advanced]:
        return [self.engine.advance(nudge) for nudge in nudges]

    def effects(self) -> list[tuple[str, Decimal, bool]]:
        rows = sorted(self.row().effects.items())
        return [(row.state, row.cost, row.estimated) for _, row in rows]


@contextmanager
def office_of(*given: Any, **named: Any) -> Iterator[Office]:
    made = Office(*given, **named)
    try:
        yield made
    finally:
        made.shell.loop.close()
        made.keeper.close()


@pytest.mark.parametrize("when", [FIRST, SECOND])
@pytest.mark.parametrize(
    ("kind", "number"), [("claim", 1), ("put_effect", 1), ("put_effect", 2), ("save", 1)]
)
@pytest.mark.parametrize("node", [two, at_once])
def test_what_was_answered_is_kept_and_the_run_goes_on_at_once(
    node: Callable[..., Any], kind: str, number: int, when: str
) -> None:
    with office_of(node) as office:
        nudge = office.begin()
        office.store.away(kind, number, when)
        (came,) = office.follow(nudge)

        assert office.store.told.count("claim_again") == 1
        assert (came, office.row().state) == (
            Advanced.GONE_ON if (kind, when) == ("save", SECOND) else Advanced.ENDED,
            "succeeded",
        )
        assert office.paid == ["one", "two"]
        assert office.effects() == [("done", PRICE, False)] * 2
        assert office.row().crashes == 0
        assert office.store.approvals == {}
        balance = office.store.budgets["run-1"]
        assert (balance.spent.cost, balance.reserved.cost) == (2 * PRICE, 0)


@pytest.mark.parametrize("when", [FIRST, SECOND])
@pytest.mark.parametrize("kind", ["claim_task", "put_effect", "finish_task"])
@pytest.mark.parametrize("number", [1, 3])
def test_a_task_goes_on_at_once_and_so_does_the_run_that_its_last_one_wins(
    kind: str, number: int, when: str
) -> None:
    with office_of(one, ("a", "b", "c")) as office:
        office.follow(office.begin())
        tasks = [nudge for nudge in office.store.outbox.values() if nudge.task]
        office.store.away(kind, number, when)
        office.follow(*tasks)

        assert office.paid == ["one"] * 3
        assert office.effects() == [("done", PRICE, False)] * 3
        assert (office.row().crashes, office.store.approvals) == (0, {})
        assert {row.crashes for row in office.row().tasks.values()} == {0}
        assert office.row().state == "succeeded"


def test_a_store_that_stays_away_leaves_the_run_to_its_lease() -> None:
    with office_of() as office:
        nudge = office.begin()
        office.store.away("anything", 3, times=9)

        assert office.follow(nudge) == [Advanced.STORE_AWAY]
        assert office.store.told.count("claim_again") == 1
        assert office.row().state == "running"


def test_a_run_that_costs_its_worker_the_store_each_time_is_parked_at_last() -> None:
    def breaks(_: SyncContext) -> dict[str, Any]:
        raise StoreAway("a statement that kills the server")

    with office_of(breaks) as office:
        nudge = office.begin()
        for _ in range(6):
            office.follow(nudge)
            office.store.clock.forward(office.store.clock.now.replace(year=2100 + _))

        assert (office.row().state, office.row().reason) == ("interrupted", "poison")
        assert office.row().crashes == 5


def test_nothing_is_taken_again_by_a_process_that_shuts_down() -> None:
    with office_of() as office:
        nudge = office.begin()
        pay = office.world.stand_ins["till.pay"]

        def ends(item: str) -> Any:
            office.shell.draining.set()
            office.store.away("anything")
            return pay(item)

        office.world.stand_ins = {"till.pay": ends}

        assert office.follow(nudge) == [Advanced.STORE_AWAY]
        assert "claim_again" not in office.store.told


def test_what_another_thread_of_the_process_works_at_is_not_taken_from_it() -> None:
    with office_of() as office:
        nudge = office.begin()
        held = office.store.claim("here", "run-1", worker="worker-1", ttl=LEASE)
        office.store.away("claim", 1)

        with office.keeper.keeping(held.lease, Brake()):
            assert office.follow(nudge) == [Advanced.GONE_ON]

        assert "claim_again" not in office.store.told
        assert office.row().token == held.lease.token


class Slow(Flaky):
    """A store that is back only after the process was told to shut down."""

    draining: threading.Event

    def claim_again(self, *given: Any, **named: Any) -> Claimed | None:
        self.draining.set()
        found: Claimed | None = self.inner.claim_again(*given, **named)
        return found


def test_a_process_that_was_told_to_shut_down_meanwhile_gives_the_run_back() -> None:
    with office_of(lambda _: {"output": "done"}, store=Slow()) as office:
        nudge = office.begin()
        office.store.draining = office.shell.draining
        office.store.away("save", 1)

        assert office.follow(nudge) == [Advanced.RELEASED]
        assert (office.row().state, office.row().worker) == ("queued", None)
        assert office.row().crashes == 0


class InGroups(MemoryStore):
    """A store whose claims are made in groups; the answer of the first group of several is lost."""

    def __init__(self, crowd: int) -> None:
        super().__init__(Clock())
        self.crowd, self.lost = crowd, 0
        self.committer: Committer[Any] = Committer(self._alone, self._together, patience=9.0)

    def claim(self, tenant_id: str, run_id: str, *, worker: str, ttl: float) -> Claimed | None:
        if self.lost:
            return super().claim(tenant_id, run_id, worker=worker, ttl=ttl)
        found: Claimed | None = self.committer.commit(Part(run_id, tenant_id, worker, ttl))
        return found

    def _alone(self, part: Part) -> Claimed | None:
        assert eventually(lambda: self.committer.waiting == self.crowd - 1)
        return super().claim(part.tenant_id, part.run_id, worker=part.worker, ttl=part.ttl)

    def _together(self, parts: Sequence[Part]) -> Sequence[Any]:
        for part in parts:
            super().claim(part.tenant_id, part.run_id, worker=part.worker, ttl=part.ttl)
        self.lost = len(parts)
        raise StoreAway("the answer of a COMMIT")


@dataclass(frozen=True)
class Part:
    run_id: str
    tenant_id: str
    worker: str
    ttl: float

    @property
    def key(self) -> tuple[str, str]:
        return self.run_id, self.tenant_id


def test_a_group_of_claims_whose_answer_is_lost_goes_on_at_once() -> None:
    with office_of(store=InGroups(6)) as office, ThreadPoolExecutor(6) as threads:
        names = [f"run-{number}" for number in range(6)]
        nudges = [office.begin(name) for name in names]
        came = list(threads.map(office.engine.advance, nudges))

        assert office.store.lost == 5
        assert came == [Advanced.ENDED] * 6
        assert {office.row(name).crashes for name in names} == {0}
        assert sorted(office.row(name).token for name in names) == [1, 2, 2, 2, 2, 2]
        assert sorted(office.paid) == ["one"] * 6 + ["two"] * 6
