"""The engine in this process: the real store, the real world, nudges followed one by one."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from uuid_utils.compat import uuid7

from gateway.operations.add_endpoint import add_endpoint
from gateway.operations.add_model import add_model
from gateway.testing import ScriptedModel
from policy import tenancy
from policy.core.actor import SYSTEM
from policy.core.json import Json
from policy.core.money import Limits
from policy.operations.policies import activate, create_version
from runs.advance import Advanced, Burst, Engine
from runs.agents import Program
from runs.agents.registry import register
from runs.leases import LeaseKeeper
from runs.live import LiveWorld
from runs.loop import IoLoop
from runs.models import Run
from runs.operations.start import StartRun, start_run
from runs.ports import Nudge, Store
from runs.shell import Shell
from runs.store import PostgresStore
from tests.contract.grounds import SeenEffect, SeenRun
from tests.contract.postgres_ground import PostgresGround

LEASE = 60.0
EVERYTHING = "rules: [{name: everything, decision: allow}]"


@dataclass(slots=True, kw_only=True)
class Room:
    """Start runs, follow their nudges, do what people do, and look at the rows."""

    ground: PostgresGround
    loop: IoLoop
    keeper: LeaseKeeper
    closing: ExitStack
    nudges: deque[Nudge] = field(default_factory=deque)
    workers: int = 0

    @classmethod
    @contextmanager
    def over(cls, ground: PostgresGround) -> Iterator[Room]:
        """Open a room, and close it with everything in it."""
        store = ground.store
        keeper = LeaseKeeper(lambda leases: store.renew(leases, ttl=LEASE), ttl=LEASE)
        with ExitStack() as closing:
            loop = IoLoop()
            closing.callback(keeper.close)
            closing.callback(loop.close)
            yield cls(ground=ground, loop=loop, keeper=keeper, closing=closing)

    # --- Arrangements ------------------------------------------------------------------------

    def scope(self) -> Any:
        return tenancy.scope(UUID(self.ground.tenant))

    def apply(self, policy: str) -> None:
        """Put a policy in force."""
        with self.scope():
            activate(create_version(policy, note="a test's", by=SYSTEM), by=SYSTEM)

    def allow_everything(self) -> None:
        self.apply(EVERYTHING)

    def model(self, script: Any, name: str = "fast", **prices: Any) -> ScriptedModel:
        """Give the tenant a model that plays a script until the room is closed."""
        model = self.closing.enter_context(ScriptedModel(script))
        with self.scope():
            add_endpoint("scripted", provider="scripted")
            add_model(name, endpoint="scripted", model_id=model.model_id, **prices)
        return model

    def start(
        self,
        program: Program,
        given: Json = None,
        *,
        budget: Limits | None = None,
        deadline: timedelta | None = None,
    ) -> str:
        """Accept a run of an agent."""
        register(program)
        command = StartRun(
            agent=program.name, input=given, by=SYSTEM, budget=budget, deadline=deadline
        )
        with self.scope():
            run_id = str(start_run(command, now=datetime.now(UTC)))
        self.nudges.append(Nudge(tenant_id=self.ground.tenant, run_id=run_id))
        return run_id

    # --- The engine --------------------------------------------------------------------------

    def engine(self, *, burst: Burst | None = None, store: Store | None = None) -> Engine:
        """Give another worker."""
        self.workers += 1
        clock = store.clock if isinstance(store, PostgresStore) else self.ground.store.clock
        shell = Shell(
            store=store or self.ground.store,
            world=LiveWorld(),
            loop=self.loop,
            clock=clock,
            mint=lambda: str(uuid7()),
            worker=f"worker-{self.workers}",
            ttl=LEASE,
            send=self.nudges.extend,
        )
        return Engine(
            shell=shell, keeper=self.keeper, send=self.nudges.extend, burst=burst or Burst()
        )

    def drive(self, engine: Engine | None = None) -> list[Advanced]:
        """Follow nudges until there are none."""
        engine = engine or self.engine()
        ended = []
        while self.nudges:
            ended.append(engine.advance(self.nudges.popleft()))
        connection.close()
        return ended

    def play(self, program: Program, given: Json = None, **more: Any) -> str:
        """Start a run and take it as far as it goes."""
        run_id = self.start(program, given, **more)
        self.drive()
        return run_id

    def pass_time(self, run_id: str, seconds: float) -> None:
        """Let time pass for a run, sweep, and follow what was found."""
        self.ground.pass_time(run_id, seconds)
        self.sweep(run_id)

    def sweep(self, run_id: str) -> None:
        found = self.ground.sweep(run_id)
        self.nudges.extend(self._nudges(run_id, found))
        self.drive()

    def go_on(self, run_id: str) -> None:
        """Follow the message that a person's deed left in the outbox."""
        self.nudges.append(Nudge(tenant_id=self.ground.tenant, run_id=run_id))
        self.drive()

    def _nudges(self, run_id: str, found: Iterable[tuple[int | None, str]]) -> list[Nudge]:
        tenant = self.ground.tenant
        return [
            Nudge(tenant_id=tenant, run_id=run_id, super_step=step, task=task)
            for step, task in sorted(found, key=str)
        ]

    # --- People ------------------------------------------------------------------------------

    def decide(self, run_id: str, decision: Any, *, reason: str = "", result: Json = None) -> None:
        """Decide the one open approval, and follow the nudge."""
        (approval,) = [a for a in self.ground.approvals(run_id) if a.state == "open"]
        self.ground.decide(approval.id, decision, reason=reason, result=result)
        self.go_on(run_id)

    # --- Looking -----------------------------------------------------------------------------

    def run(self, run_id: str) -> SeenRun:
        return self.ground.run(run_id)

    def now(self) -> datetime:
        return datetime.now(UTC)

    def row(self, run_id: str) -> Run:
        with self.scope():
            return Run.objects.get(pk=run_id)

    def state(self, run_id: str) -> str:
        return self.ground.run(run_id).state

    def error(self, run_id: str) -> str:
        row = self.row(run_id)
        return f"{row.error_class}: {row.error_detail}"

    def output(self, run_id: str) -> Json:
        return self.ground.run(run_id).output

    def effects(self, run_id: str) -> dict[str, SeenEffect]:
        return self.ground.effects(run_id)

    def events(self, run_id: str) -> list[str]:
        """Name the events, after checking that their numbers have no gap."""
        events = self.ground.events(run_id)
        assert [number for number, _ in events] == list(range(1, len(events) + 1))
        return [kind for _, kind in events]

    def messages(self, run_id: str) -> list[Json]:
        """Read a react agent's conversation."""
        items: list[Json] = self.ground.store.read_log(
            run_id, self.ground.tenant, "messages", 10_000
        )
        return items
