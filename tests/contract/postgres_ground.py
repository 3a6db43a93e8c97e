"""PostgreSQL, as the ground of the store's contract."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection
from psycopg_pool import ConnectionPool
from uuid_utils.compat import uuid7

from policy import tenancy
from policy.core.actor import SYSTEM
from policy.core.json import Json
from policy.core.money import Amounts, Balance, Closed, Limits, Period, Span, Unit
from policy.models import Approval, AuditEvent, Budget, BudgetPeriod, BudgetScope, RaiseKind
from policy.models.budgets import Balances
from policy.queries import balance_of
from runs.agents import Program
from runs.committing import Part
from runs.errors import Misfit
from runs.models import Checkpoint, Effect, OutboxMessage, Run, RunMigration
from runs.nudging import wake
from runs.operations.cancel import cancel_run
from runs.operations.decide import Decide, Decision, decide_approval
from runs.operations.migrate_runs import between, migrate_run, undo_one
from runs.operations.raise_budget import Raise, raise_budget
from runs.operations.resume import resume_run
from runs.operations.rewind import Rewind, rewind_run
from runs.operations.send_signal import SendSignal, send_signal
from runs.operations.set_budget import SetBudget, make_budget
from runs.operations.start import StartRun, start_run
from runs.ports import Nudge
from runs.store import PostgresStore
from runs.sweep import Sweeper
from tests.contract.grounds import SeenApproval, SeenEffect, SeenRun, agent_of

THREAD = UUID("0190a000-0000-7000-8000-00000000beef")
SHIFT = """
WITH gone AS (SELECT %(by)s::interval AS by, %(run)s::uuid AS run), run AS (
  UPDATE runs_run SET lease_expires_at = lease_expires_at - by, due_at = due_at - by,
    deadline_at = deadline_at - by, nudged_at = nudged_at - by FROM gone WHERE id = run
), tasks AS (
  UPDATE runs_task SET lease_expires_at = lease_expires_at - by, nudged_at = nudged_at - by
  FROM gone WHERE run_id = run
), spent AS (
  UPDATE runs_effect SET claimed_at = claimed_at - by FROM gone WHERE run_id = run
), budgets AS (
  UPDATE policy_budget SET period_anchor = period_anchor - by,
    period_starts_at = period_starts_at - by, period_ends_at = period_ends_at - by,
    turns_at = turns_at - by, extras = (SELECT coalesce(jsonb_agg(CASE WHEN e ? 'until' THEN e ||
      jsonb_build_object('until', (e ->> 'until')::timestamptz - by) ELSE e END), '[]')
      FROM jsonb_array_elements(extras) AS e)
  FROM gone WHERE id IN (SELECT unnest(budget_ids) FROM runs_run AS r WHERE r.id = run)
), closed AS (
  UPDATE policy_budgetperiod SET starts_at = starts_at - by, ends_at = ends_at - by
  FROM gone WHERE budget_id IN (SELECT unnest(budget_ids) FROM runs_run AS r WHERE r.id = run)
), messages AS (
  UPDATE runs_outboxmessage SET created_at = created_at - by FROM gone WHERE run_id = run
)
UPDATE policy_approval SET expires_at = expires_at - by, next_at = next_at - by,
  warn_at = warn_at - by, created_at = created_at - by, claimed_until = claimed_until - by,
  deferred_until = deferred_until - by FROM gone WHERE run_id = run
"""


class Grouped(PostgresStore):
    """A store that commits even what is alone as a group."""

    def _alone(self, part: Part) -> Any:
        return self._together([part])[0]


@dataclass(slots=True, kw_only=True)
class PostgresGround:
    """A `PostgresStore` as the application's role; time passes by moving a run's moments back."""

    tenant: str
    pool: ConnectionPool
    system: ConnectionPool
    strange: Callable[[], UUID]
    name: str = "postgres"
    groups: bool = False
    store: PostgresStore = field(init=False)

    def __post_init__(self) -> None:
        self.store = Grouped(self.pool) if self.groups else PostgresStore(self.pool, groups=False)

    def _scope(self) -> Any:
        return tenancy.scope(UUID(self.tenant))

    def start(
        self,
        *tasks: str,
        limits: Limits | None = None,
        deadline: timedelta | None = None,
        stops: bool = False,
    ) -> str:
        program = agent_of(*tasks, stops=stops)
        command = StartRun(
            agent=program.name,
            input={"question": 1},
            by=SYSTEM,
            budget=limits,
            deadline=deadline,
            thread=THREAD,
        )
        with self._scope():
            return str(start_run(command, now=datetime.now(UTC)))

    def run(self, run_id: str) -> SeenRun:
        with self._scope():
            row = Run.objects.get(pk=run_id)
        return SeenRun(
            state=row.state,
            reason=row.reason,
            super_step=row.super_step,
            token=row.fencing_token,
            crashes=row.crashes,
            output=row.output,
            error_class=row.error_class,
            left=row.deadline_left,
        )

    def pages_read(self, call: str, *args: str | int) -> int:
        """Count the pages that a call of a function reads, once its statements are planned."""
        with self._scope(), connection.cursor() as cursor:
            asked = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT {call}"
            cursor.execute(asked, args)
            cursor.execute(asked, args)
            plan = cursor.fetchone()[0][0]["Plan"]
        pages: int = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
        return pages

    def events(self, run_id: str) -> list[tuple[int, str]]:
        with self._scope(), connection.cursor() as cursor:
            return [*cursor.execute("SELECT seq, type FROM runs_events(%s, 0, NULL)", [run_id])]

    def effects(self, run_id: str) -> dict[str, SeenEffect]:
        with self._scope():
            rows = list(
                Effect.objects.filter(run_id=run_id).order_by("super_step", "task", "ordinal")
            )
        return {
            f"/{row.super_step}/{row.task}/{row.ordinal}": SeenEffect(
                state=row.state,
                attempt=row.attempt,
                attempts=row.attempts,
                error_class=row.error_class,
                outcome=row.outcome,
                cost=row.cost,
                version=row.version,
                tokens=row.input_tokens + row.output_tokens,
                estimated=row.estimated,
            )
            for row in rows
        }

    def checkpoints(self, run_id: str) -> list[tuple[int, int]]:
        with self._scope():
            rows = Checkpoint.objects.filter(run_id=run_id).order_by("super_step")
            return list(rows.values_list("super_step", "fencing_token"))

    def messages(self, run_id: str) -> list[tuple[int | None, str]]:
        with self._scope():
            rows = OutboxMessage.objects.filter(run_id=run_id).order_by("id")
            return list(rows.values_list("super_step", "task"))

    def budget(self, run_id: str) -> Balance:
        with self._scope():
            row = Budget.objects.get(scope="run", scope_id=run_id)
        return Balance(
            limits=Limits(**{unit: getattr(row, f"{unit}_limit") for unit in Unit}),
            spent=_amounts(row, "spent"),
            reserved=_amounts(row, "reserved"),
            overdraft=_amounts(row, "overdraft"),
        )

    def approvals(self, run_id: str) -> list[SeenApproval]:
        with self._scope():
            rows = list(Approval.objects.filter(run_id=run_id).order_by("created_at"))
        return [
            SeenApproval(
                id=str(row.id),
                state=row.state,
                kind=row.kind,
                groups={*row.groups},
                owners={*row.owners},
                rung=row.rung,
            )
            for row in rows
        ]

    def audit(self, run_id: str) -> list[str]:
        """Name what the audit log says of a run, its effects and its approvals."""
        approvals = [f"approval/{approval.id}" for approval in self.approvals(run_id)]
        with self._scope():
            rows = AuditEvent.objects.order_by("id")
            return [
                row.action
                for row in rows
                if row.subject in approvals or row.subject.split("/")[1] == run_id
            ]

    def pass_time(self, run_id: str, seconds: float) -> None:
        by = timedelta(seconds=seconds)
        with self._scope(), connection.cursor() as cursor:
            cursor.execute(SHIFT, {"by": str(by), "run": run_id})

    def sweep(self, run_id: str) -> set[tuple[int | None, str]]:
        sent: list[Nudge] = []

        def send(nudges: Iterable[Nudge]) -> list[Nudge]:
            left = list(nudges)
            sent.extend(left)
            return left

        sweeper = Sweeper(pool=self.system, send=send, backlog=lambda: 0, patience=0, grace=0)
        sweeper.round()
        return {(m.super_step, m.task) for m in sent if m.run_id == run_id}

    def cancel(self, run_id: str) -> None:
        with self._scope():
            cancel_run(UUID(run_id), by=SYSTEM, reason="not needed", now=datetime.now(UTC))

    def decide(
        self, approval: str, decision: Decision, *, reason: str = "", result: Json = None
    ) -> None:
        with self._scope():
            row = Approval.objects.get(pk=approval)
            command = Decide(
                approval_id=row.id,
                decision=decision,
                digest=row.digest,
                version=row.version,
                reason=reason,
                result=result,
            )
            decide_approval(command, by=SYSTEM, now=datetime.now(UTC))

    def raise_budget(self, run_id: str, unit: Unit, amount: int) -> None:
        with self._scope():
            budget = Budget.objects.get(scope="run", scope_id=run_id)
            more = Raise(unit=unit, amount=Decimal(amount), reason="more")
            raise_budget(budget.id, more, by=SYSTEM, now=datetime.now(UTC))

    def share(
        self, limits: Limits, *, soft: Limits | None = None, period: Period = Period.NONE
    ) -> str:
        now = datetime.now(UTC)
        anchor = None if period is Period.NONE else now
        wanted = SetBudget(limits=limits, soft=soft or Limits(), period=period, anchor=anchor)
        with self._scope():
            is_first = not Budget.objects.filter(scope="tenant").exists()
            scope = BudgetScope.TENANT if is_first else BudgetScope.THREAD
            scope_id = UUID(self.tenant) if is_first else THREAD
            return str(make_budget(scope, scope_id, wanted, by=SYSTEM, now=now))

    def shared(self, name: str) -> Balance:
        with self._scope():
            balance = balance_of(Budget.objects.get(pk=name))
            past = BudgetPeriod.objects.filter(budget_id=name).order_by("ends_at")
            closed = tuple(_closed(row) for row in past)
        return replace(balance, life=replace(balance.life, closed=closed))

    def raise_shared(
        self, name: str, unit: Unit, amount: int, *, hours: float | None = None
    ) -> None:
        now = datetime.now(UTC)
        more = Raise(unit=unit, amount=Decimal(amount), reason="more", kind=RaiseKind.ONCE)
        if hours is not None:
            more = replace(more, kind=RaiseKind.UNTIL, until=now + timedelta(hours=hours))
        with self._scope():
            raise_budget(UUID(name), more, by=SYSTEM, now=now)

    def resume(self, run_id: str) -> None:
        with self._scope():
            resume_run(UUID(run_id), by=SYSTEM, reason="mended")

    def rewind(self, run_id: str, super_step: int) -> None:
        command = Rewind(run_id=UUID(run_id), super_step=super_step, accepting=True)
        with self._scope():
            rewind_run(command, by=SYSTEM)

    def migrate(self, run_id: str, *, to: Program) -> None:
        with self._scope():
            run = Run.objects.select_related("agent_version").get(pk=run_id)
            origin = run.agent_version.version
            versions = between(run.agent_name, origin=origin, target=to.version)
            verdict = migrate_run(run.pk, versions, migration=uuid7(), by=SYSTEM)
        if verdict.reasons:
            raise Misfit(verdict.reasons)

    def undo_migration(self, run_id: str) -> None:
        with self._scope():
            row = RunMigration.objects.filter(run_id=run_id, undone_at=None).latest("at")
            verdict = undo_one(row.pk, by=SYSTEM)
        if verdict.reasons:
            raise Misfit(verdict.reasons)

    def signal(self, run_id: str, name: str, payload: Json = None, known_as: str = "") -> None:
        command = SendSignal(run_id=UUID(run_id), name=name, payload=payload, id=known_as)
        with self._scope():
            send_signal(command, by=SYSTEM, now=datetime.now(UTC))

    def wake(self, run_id: str) -> None:
        with self._scope():
            wake(UUID(self.tenant), UUID(run_id), "called", {})

    def another_tenant(self) -> str:
        return str(self.strange())


def _closed(row: BudgetPeriod) -> Closed:
    balance = Balance(
        limits=Limits(**{unit: getattr(row, f"{unit}_limit") for unit in Unit}),
        spent=_amounts(row, "spent"),
        reserved=_amounts(row, "reserved"),
        overdraft=_amounts(row, "overdraft"),
    )
    return Closed(span=Span(starts_at=row.starts_at, ends_at=row.ends_at), balance=balance)


def _amounts(row: Balances, what: str) -> Amounts:
    values: Mapping[str, Any] = {unit: getattr(row, f"{unit}_{what}") for unit in Unit}
    return Amounts(**values)
