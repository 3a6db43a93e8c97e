"""The two grounds that the store's contract is tried on, seen through one pair of glasses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol

from policy.core import periods
from policy.core.json import Json
from policy.core.money import Balance, Limits, Period, Unit
from runs.agents import Channel, Node, Program, Reducer, code_agents, graph, graph_agent
from runs.core.effects import effect_key
from runs.core.plan import first_checkpoint
from runs.operations.decide import Decision
from runs.ports import Claimed, Lease, Nudge, Renewed, Store
from runs.testing import MemoryStore, RunRow, migrating, people

BEGINNING = datetime(2030, 1, 1, tzinfo=UTC)
LEASE = 60.0


def _unused(_: Any) -> None:
    """Nodes of the contract are never executed: the tests play the engine."""


def agent_of(*tasks: str, stops: bool = False, version: str = "1") -> Program:
    """An agent whose runs start with these tasks."""
    return graph_agent(
        f"contract-{'-'.join(tasks)}{'-stops' if stops else ''}",
        version=version,
        deadline_stops_for_people=stops,
        of=graph(
            *(Node(name=name, run=_unused) for name in "abc"),
            start=tasks,
            channels={"notes": Channel(reducer=Reducer.LOG), "sum": Channel(reducer=Reducer.SUM)},
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenRun:
    state: str
    reason: str
    super_step: int
    token: int
    crashes: int
    output: Json
    error_class: str
    left: timedelta | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenEffect:
    state: str
    attempt: int
    attempts: list[Any]
    error_class: str
    outcome: Json
    cost: Decimal
    version: str
    tokens: int
    estimated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenApproval:
    id: str
    state: str
    kind: str
    groups: set[str]
    owners: set[str]
    rung: int


class WholeStore(Store, Protocol):
    """What both stores can do beyond what the engine's heart needs."""

    def renew(self, leases: Sequence[Lease], *, ttl: float) -> Renewed: ...


class Ground(Protocol):
    """A store, and everything a test must do to a run or see of it."""

    name: str
    tenant: str

    @property
    def store(self) -> WholeStore: ...
    def start(
        self,
        *tasks: str,
        limits: Limits | None = None,
        deadline: timedelta | None = None,
        stops: bool = False,
    ) -> str: ...
    def run(self, run_id: str) -> SeenRun: ...
    def events(self, run_id: str) -> list[tuple[int, str]]: ...
    def effects(self, run_id: str) -> dict[str, SeenEffect]: ...
    def checkpoints(self, run_id: str) -> list[tuple[int, int]]: ...
    def messages(self, run_id: str) -> list[tuple[int | None, str]]: ...
    def budget(self, run_id: str) -> Balance: ...
    def approvals(self, run_id: str) -> list[SeenApproval]: ...
    def pass_time(self, run_id: str, seconds: float) -> None: ...
    def sweep(self, run_id: str) -> set[tuple[int | None, str]]: ...
    def cancel(self, run_id: str) -> None: ...
    def decide(
        self, approval: str, decision: Decision, *, reason: str = "", result: Json = None
    ) -> None: ...
    def raise_budget(self, run_id: str, unit: Unit, amount: int) -> None: ...
    def share(
        self, limits: Limits, *, soft: Limits | None = None, period: Period = Period.NONE
    ) -> str: ...
    def shared(self, name: str) -> Balance: ...
    def raise_shared(
        self, name: str, unit: Unit, amount: int, *, hours: float | None = None
    ) -> None: ...
    def resume(self, run_id: str) -> None: ...
    def rewind(self, run_id: str, super_step: int) -> None: ...
    def migrate(self, run_id: str, *, to: Program) -> None: ...
    def undo_migration(self, run_id: str) -> None: ...
    def wake(self, run_id: str) -> None: ...
    def signal(self, run_id: str, name: str, payload: Json = None, known_as: str = "") -> None: ...
    def another_tenant(self) -> str: ...


def claim(ground: Ground, run_id: str, worker: str = "w1") -> Claimed:
    """Win a run's lease; the test is about what comes after."""
    claimed = ground.store.claim(ground.tenant, run_id, worker=worker, ttl=LEASE)
    assert claimed is not None
    return claimed


def claim_task(ground: Ground, nudge: Nudge, worker: str = "w1") -> Claimed:
    claimed = ground.store.claim_task(nudge, worker=worker, ttl=LEASE)
    assert claimed is not None
    return claimed


@dataclass(slots=True)
class Moment:
    now: datetime = BEGINNING

    def __call__(self) -> datetime:
        return self.now


class MemoryGround:
    """A `MemoryStore` over a clock that the test moves."""

    name = "memory"

    def __init__(self) -> None:
        self.tenant, self._clock, self._started = "here", Moment(), 0
        self._shared: list[str] = []
        self.store = MemoryStore(self._clock, policy_version=None)

    def start(
        self,
        *tasks: str,
        limits: Limits | None = None,
        deadline: timedelta | None = None,
        stops: bool = False,
    ) -> str:
        program = agent_of(*tasks, stops=stops)
        self._started += 1
        run = RunRow(
            tenant_id=self.tenant,
            id=f"run-{self._started}",
            agent=program.name,
            agent_version_id="1",
            deadline=None if deadline is None else self._clock.now + deadline,
            deadline_stops=stops,
        )
        first = first_checkpoint(program.graph, {"question": 1})
        above = {name: self.store.budgets[name].limits for name in self._shared}
        own = f"budget of {run.id}"
        self.store.start(run, first, budgets={own: limits or Limits(), **above})
        return run.id

    def run(self, run_id: str) -> SeenRun:
        row = self.store.runs[run_id]
        return SeenRun(
            state=row.state,
            reason=row.reason,
            super_step=row.super_step,
            token=row.token,
            crashes=row.crashes,
            output=row.output,
            error_class=row.error_class,
            left=row.deadline_left,
        )

    def events(self, run_id: str) -> list[tuple[int, str]]:
        return [(n, kind) for n, (kind, _) in enumerate(self.store.runs[run_id].events, 1)]

    def effects(self, run_id: str) -> dict[str, SeenEffect]:
        return {
            effect_key("", place): SeenEffect(
                state=row.state,
                attempt=row.attempt,
                attempts=row.attempts,
                error_class=row.error_class,
                outcome=row.outcome,
                cost=row.cost,
                version=row.version,
                tokens=row.tokens,
                estimated=row.estimated,
            )
            for place, row in sorted(self.store.runs[run_id].effects.items())
        }

    def checkpoints(self, run_id: str) -> list[tuple[int, int]]:
        return [(n, row.token) for n, row in sorted(self.store.runs[run_id].checkpoints.items())]

    def messages(self, run_id: str) -> list[tuple[int | None, str]]:
        found = sorted(self.store.outbox.items())
        return [(m.super_step, m.task) for _, m in found if m.run_id == run_id]

    def budget(self, run_id: str) -> Balance:
        return self.store.budgets[f"budget of {run_id}"]

    def approvals(self, run_id: str) -> list[SeenApproval]:
        rows = [row for row in self.store.approvals.values() if row.run_id == run_id]
        return [
            SeenApproval(
                id=row.id,
                state=row.state,
                kind=row.kind,
                groups={*row.groups},
                owners={*row.owners},
                rung=row.rung,
            )
            for row in rows
        ]

    def pass_time(self, run_id: str, seconds: float) -> None:  # noqa: ARG002 - one clock for all
        self._clock.now += timedelta(seconds=seconds)

    def sweep(self, run_id: str) -> set[tuple[int | None, str]]:
        before = set(self.store.outbox)
        people.sweep(self.store)
        found = [message for n, message in self.store.outbox.items() if n not in before]
        return {(m.super_step, m.task) for m in found if m.run_id == run_id}

    def cancel(self, run_id: str) -> None:
        people.cancel(self.store, self.store.runs[run_id], "not needed")

    def decide(
        self, approval: str, decision: Decision, *, reason: str = "", result: Json = None
    ) -> None:
        row = self.store.approvals[approval]
        people.decide(self.store, row, decision, reason=reason, result=result, by="somebody")

    def raise_budget(self, run_id: str, unit: Unit, amount: int) -> None:
        people.raise_budget(self.store, f"budget of {run_id}", unit, Decimal(amount))

    def share(
        self, limits: Limits, *, soft: Limits | None = None, period: Period = Period.NONE
    ) -> str:
        name = f"shared {len(self._shared)}"
        fresh = periods.begun(limits, period, self._clock.now, self._clock.now)
        self.store.budgets[name] = replace(fresh, soft=soft or Limits())
        self._shared.append(name)
        return name

    def shared(self, name: str) -> Balance:
        return self.store.budgets[name]

    def raise_shared(
        self, name: str, unit: Unit, amount: int, *, hours: float | None = None
    ) -> None:
        until = None if hours is None else self._clock.now + timedelta(hours=hours)
        people.raise_budget(
            self.store, name, unit, Decimal(amount), until=until, once=hours is None
        )

    def resume(self, run_id: str) -> None:
        people.resume(self.store, self.store.runs[run_id], "mended")

    def rewind(self, run_id: str, super_step: int) -> None:
        people.rewind(self.store, self.store.runs[run_id], super_step)

    def migrate(self, run_id: str, *, to: Program) -> None:
        run = self.store.runs[run_id]
        origin = code_agents()[run.agent, run.agent_version_id]
        migrating.migrate(self.store, run, origin, to)

    def undo_migration(self, run_id: str) -> None:
        migrating.undo(self.store, self.store.runs[run_id])

    def signal(self, run_id: str, name: str, payload: Json = None, known_as: str = "") -> None:
        people.signal(self.store, self.store.runs[run_id], name, payload, known_as)

    def wake(self, run_id: str) -> None:
        people.wake(self.store, self.store.runs[run_id], "called", {})

    def another_tenant(self) -> str:
        return "elsewhere"
