"""Few seats, several tenants: the two stores as the tests of admission see them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import UUID

from policy import tenancy
from policy.core.actor import SYSTEM
from policy.operations.set_tenant import Shares, set_shares
from runs.admission import admit
from runs.core.admission import Priority
from runs.core.plan import first_checkpoint
from runs.models import OutboxMessage, Run
from runs.nudging import wake
from runs.operations.cancel import cancel_run
from runs.operations.start import StartRun, start_run
from runs.testing import RunRow, admission, people
from runs.testing.admission import Share
from tests.conftest import make_room
from tests.contract.grounds import MemoryGround, WholeStore, agent_of
from tests.contract.postgres_ground import PostgresGround

EMPTY = """
UPDATE runs_run SET state = 'cancelled', reason = '', finished_at = clock_timestamp(),
  worker = NULL, lease_expires_at = NULL, due_at = NULL, queue_at = NULL
WHERE finished_at IS NULL
"""


class Hall(Protocol):
    """A store with 16 seats, all free at first, and two tenants."""

    here: str
    there: str

    @property
    def store(self) -> WholeStore: ...
    def start(self, tenant: str = "", priority: Priority = Priority.NORMAL) -> str: ...
    def admit(self) -> list[str]: ...
    def in_line(self, run_id: str) -> bool: ...
    def messages(self, run_id: str) -> int: ...
    def state(self, run_id: str) -> str: ...
    def cancel(self, run_id: str) -> None: ...
    def wake(self, run_id: str) -> None: ...
    def share(self, tenant: str, *, weight: int = 1, most: int | None = None) -> None: ...


class MemoryHall:
    """A `MemoryStore` with few seats."""

    here, there = "here", "there"

    def __init__(self) -> None:
        self._ground, self._started = MemoryGround(), 0
        self.store = self._ground.store
        self.store.hall.seats = 16

    def start(self, tenant: str = "", priority: Priority = Priority.NORMAL) -> str:
        program = agent_of("a")
        self._started += 1
        run = RunRow(
            tenant_id=tenant or self.here,
            id=f"run-{self._started:03}",
            agent=program.name,
            agent_version_id="1",
            priority=priority,
        )
        self.store.start(run, first_checkpoint(program.graph, None))
        return run.id

    def admit(self) -> list[str]:
        return [nudge.run_id for nudge in admission.admit(self.store)]

    def in_line(self, run_id: str) -> bool:
        return self.store.runs[run_id].queue_at is not None

    def messages(self, run_id: str) -> int:
        return sum(nudge.run_id == run_id for nudge in self.store.outbox.values())

    def state(self, run_id: str) -> str:
        return self.store.runs[run_id].state

    def cancel(self, run_id: str) -> None:
        people.cancel(self.store, self.store.runs[run_id], "enough")

    def wake(self, run_id: str) -> None:
        people.wake(self.store, self.store.runs[run_id], "called", {})

    def share(self, tenant: str, *, weight: int = 1, most: int | None = None) -> None:
        self.store.hall.shares[tenant] = Share(weight=weight, most=most)


@dataclass(slots=True)
class PostgresHall:
    """A `PostgresStore` with few seats; what other tests left behind is ended first."""

    ground: PostgresGround
    here: str = field(init=False)
    there: str = field(init=False)

    def __post_init__(self) -> None:
        self.here, self.there = self.ground.tenant, self.ground.another_tenant()
        with self.ground.system.connection() as connection:
            connection.execute(EMPTY)
            connection.execute("UPDATE runs_task SET state = 'settled' WHERE state <> 'settled'")
            connection.execute("DELETE FROM runs_line")
        make_room(8)

    @property
    def store(self) -> WholeStore:
        return self.ground.store

    def _tenant(self, run_id: str) -> Any:
        with self.ground.system.connection() as connection:
            found = connection.execute("SELECT tenant_id FROM runs_run WHERE id = %s", [run_id])
            (tenant,) = found.fetchone() or (None,)
        return tenancy.scope(tenant)

    def _row(self, run_id: str) -> Run:
        with self._tenant(run_id):
            return Run.objects.get(pk=run_id)

    def start(self, tenant: str = "", priority: Priority = Priority.NORMAL) -> str:
        command = StartRun(agent=agent_of("a").name, input=None, by=SYSTEM, priority=priority)
        with tenancy.scope(UUID(tenant or self.here)):
            return str(start_run(command, now=datetime.now(UTC)))

    def admit(self) -> list[str]:
        return [nudge.run_id for nudge in admit(self.ground.pool) or []]

    def in_line(self, run_id: str) -> bool:
        return self._row(run_id).queue_at is not None

    def messages(self, run_id: str) -> int:
        with self._tenant(run_id):
            return OutboxMessage.objects.filter(run_id=run_id).count()

    def state(self, run_id: str) -> str:
        return self._row(run_id).state

    def cancel(self, run_id: str) -> None:
        with self._tenant(run_id):
            cancel_run(UUID(run_id), by=SYSTEM, reason="enough", now=datetime.now(UTC))

    def wake(self, run_id: str) -> None:
        tenant = self._row(run_id).tenant_id
        with tenancy.scope(tenant):
            wake(tenant, UUID(run_id), "called", {})

    def share(self, tenant: str, *, weight: int = 1, most: int | None = None) -> None:
        with tenancy.scope(UUID(tenant)):
            set_shares(Shares(weight=weight, max_active=most), by=SYSTEM)
