"""The sweeper: finds what nobody is looking after any more, and nudges it.

    messages left in the outbox     the relay: sent late, or by a process that died
    leases that ran out             their worker died; somebody else may claim
    timers that are due             retries; approvals nobody answered: escalated, or ended
    agents asked about approvals    what they said is taken in
    deadlines that have passed      runs that wait end as expired
    parents and children    a child ended, or one above it, and its message was lost
    backtests left unfinished       their worker died, or their message was lost
    notices of approvals            due now, or their sender died; questions about to run out
    runs queued for a while         their message was lost: the broker forgot it
    runs in line                    admitted, where there is room and nobody else saw to it
    tables that grew                analyzed, so that no plan of their beginnings outlives them

A process of its own, with the system's role. It needs no broker: while that is away,
everything is still found, and sent later. Running it twice, late, or not at all for a
while changes nothing but time: a nudge is harmless, and a claim is a condition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import psycopg
import structlog
from psycopg.types.json import Jsonb
from psycopg_pool import ConnectionPool

from policy.core.outcomes import ErrorClass
from runs import faults
from runs.admission import admit
from runs.core.lifecycle import RunState
from runs.ports import Nudge

log = structlog.get_logger()

BATCH: Final = 500
"""How many rows of a kind one round looks at."""

FEW: Final = 8
"""How many messages are sent again though the broker seems to hold all that there should be."""

RELAY = """
DELETE FROM runs_outboxmessage WHERE id IN (
  SELECT id FROM runs_outboxmessage
  WHERE created_at < clock_timestamp() - make_interval(secs => %(grace)s)
  ORDER BY id LIMIT %(batch)s FOR UPDATE SKIP LOCKED
) RETURNING tenant_id, run_id, super_step, task
"""

DUE_APPROVALS = "SELECT tenant, run, event, data FROM runs_approvals_due(%(batch)s)"

ADVISED = "SELECT tenant, run, event, data FROM runs_advised(%(batch)s)"

DUE_TIMERS = """
SELECT tenant_id, id, 'timer.due', '{}'::jsonb FROM runs_run
WHERE state IN ('waiting', 'interrupted', 'paused') AND finished_at IS NULL
  AND due_at <= clock_timestamp()
  AND reason NOT IN ('poison', 'version')
ORDER BY due_at LIMIT %(batch)s
"""

PAST_DEADLINE = """
SELECT tenant_id, id FROM runs_run
WHERE state IN ('queued', 'waiting', 'interrupted', 'paused') AND deadline_at <= clock_timestamp()
  AND finished_at IS NULL
ORDER BY deadline_at LIMIT %(batch)s
"""

LEFT_BEHIND = """
UPDATE runs_run SET nudged_at = clock_timestamp() WHERE id IN (
  SELECT id FROM runs_run
  WHERE coalesce(nudged_at, '-infinity') < clock_timestamp() - make_interval(secs => %(patience)s)
    AND finished_at IS NULL AND queue_at IS NULL
    AND (state = 'queued' OR (state = 'running' AND open_tasks = 0
      AND (lease_expires_at IS NULL OR lease_expires_at <= clock_timestamp())))
  ORDER BY nudged_at NULLS FIRST LIMIT %(batch)s FOR NO KEY UPDATE SKIP LOCKED
) RETURNING tenant_id, id, NULL::int, ''
"""

LEFT_TASKS = """
UPDATE runs_task SET nudged_at = clock_timestamp()
WHERE (run_id, super_step, task) IN (
  SELECT t.run_id, t.super_step, t.task FROM runs_task AS t
  JOIN runs_run AS r ON r.id = t.run_id AND r.state = 'running' AND r.super_step = t.super_step
  WHERE coalesce(t.nudged_at, '-infinity') < clock_timestamp() - make_interval(secs => %(patience)s)
    AND t.result IS NULL
    AND (t.state = 'pending' OR (t.state = 'running' AND t.lease_expires_at <= clock_timestamp()))
  ORDER BY t.nudged_at NULLS FIRST LIMIT %(batch)s FOR NO KEY UPDATE OF t SKIP LOCKED
) RETURNING tenant_id, run_id, super_step, task
"""

LEFT_FAMILY = """
UPDATE runs_run SET nudged_at = clock_timestamp() WHERE id IN (
  SELECT r.id FROM runs_run AS r
  WHERE coalesce(r.nudged_at, '-infinity') < clock_timestamp() - make_interval(secs => %(patience)s)
    AND r.state IN ('waiting', 'interrupted', 'paused') AND r.finished_at IS NULL AND (
      (r.join_id IS NOT NULL AND runs_called_off(r.ancestor_ids, r.join_id))
      OR (r.reason NOT IN ('poison', 'version') AND r.id IN (
        SELECT j.run_id FROM runs_join AS j
        WHERE j.want_succeeded IS NOT NULL AND runs_is_joined(j))))
  ORDER BY r.nudged_at NULLS FIRST LIMIT %(batch)s FOR NO KEY UPDATE SKIP LOCKED
) RETURNING tenant_id, id, NULL::int, ''
"""

LEFT: Final = {
    "runs_left_behind": LEFT_BEHIND,
    "families_left_behind": LEFT_FAMILY,
    "tasks_left_behind": LEFT_TASKS,
}
"""What is nudged again, as far as the broker has room for it."""

LEFT_BACKTESTS = """
UPDATE runs_backtest SET nudged_at = clock_timestamp() WHERE id IN (
  SELECT id FROM runs_backtest WHERE state IN ('queued', 'running')
    AND coalesce(nudged_at, '-infinity') < clock_timestamp() - interval '25 seconds'
  LIMIT %(batch)s FOR NO KEY UPDATE SKIP LOCKED
) RETURNING tenant_id, id
"""

WARN = "SELECT policy_warn(%(batch)s)"
DUE_NOTICES = "SELECT tenant, notice FROM policy_notices_due(64, 4)"

FORGOTTEN_NOTICES = """
DELETE FROM policy_notice WHERE id IN (
  SELECT id FROM policy_notice WHERE state IN ('sent', 'dead')
    AND created_at < clock_timestamp() - interval '30 days' LIMIT %(batch)s
)
"""

FORGOTTEN_ANSWERS = """
DELETE FROM policy_idempotentanswer WHERE id IN (
  SELECT id FROM policy_idempotentanswer
  WHERE created_at < clock_timestamp() - interval '24 hours' LIMIT %(batch)s
)
"""

GROWN = """
SELECT c.oid::regclass::text FROM pg_class AS c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND c.relrowsecurity
  AND pg_relation_size(c.oid) > 2 * greatest(c.relpages, 0) * current_setting('block_size')::int
"""
"""Tables of tenants' rows that are twice as large as when the planner last heard of them. Plans are
kept for as long as a connection, and autovacuum looks once a minute: too late for a first rush."""

FORGETTABLE = "SELECT tenant_id, run_id, days FROM runs_forgettable(NULL, %s)"
MOST_FORGOTTEN: Final = 100
"""How many runs' history is removed in one tidying: the sweeper has other things to do."""


def _nobody(_tenant: UUID, _what: UUID) -> bool:
    return False


Send = Callable[[Iterable[Nudge]], list[Nudge]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweeper:
    """One round after another. `backlog` tells how many messages wait in the broker.

    `patience` is how long (seconds) a nudge may stay unanswered before it is sent
    again; `grace` how long a message may lie in the outbox before it is relayed.
    """

    pool: ConnectionPool
    send: Send
    backlog: Callable[[], int]
    send_backtest: Callable[[UUID, UUID], bool] = _nobody
    send_notice: Callable[[UUID, UUID], bool] = _nobody
    patience: float = 3.0
    grace: float = 1.0

    def round(self) -> dict[str, int]:
        """Look once for everything, and give how many of each were found."""
        found = {
            "approvals_advised": self._wake(ADVISED),
            "approvals_expired": self._wake(DUE_APPROVALS),
            "timers_due": self._wake(DUE_TIMERS),
            "deadlines_passed": self._expire(),
            "relayed": self._relay(),
        }
        room = self._awaited() + FEW - self.backlog()
        for name, statement in LEFT.items():
            found[name] = self._nudge(statement, room) if room > 0 else 0
            room -= found[name]
        found["admitted"] = self._admit()
        found["backtests_left_behind"] = self._resend_backtests()
        found["approvals_expiring"] = self._rows(WARN)[0][0]
        found["notices_due"] = sum(self.send_notice(*row) for row in self._rows(DUE_NOTICES))
        return found

    def tidy(self) -> None:
        """Remove what is kept for a time only; for once in a while.

        Answers to Idempotency-Keys for a day, notices that are through for thirty; the history
        of ended runs as their tenants say.
        """
        with self.pool.connection() as connection:
            connection.execute(FORGOTTEN_ANSWERS, {"batch": BATCH})
            connection.execute(FORGOTTEN_NOTICES, {"batch": BATCH})
        self.forget()

    def analyze(self) -> int:
        """Have the planner hear of tables that grew; plans that are in use are made anew."""
        with self.pool.connection() as connection:
            grown = [table for (table,) in connection.execute(GROWN)]
            for table in grown:  # SKIP_LOCKED: autovacuum is at it, or a migration
                connection.execute(f"ANALYZE (SKIP_LOCKED) {table}")
        return len(grown)

    def forget(self) -> int:
        """Remove the history of runs that ended longer ago than their tenants keep it."""
        with self.pool.connection() as connection:
            rows = connection.execute(FORGETTABLE, [MOST_FORGOTTEN]).fetchall()
            for tenant_id, run_id, days in rows:
                connection.execute(
                    "SELECT runs_forget(%s, %s, %s, 'system:sweeper')", [tenant_id, run_id, days]
                )
        return len(rows)

    def _awaited(self) -> int:
        """Count the messages that the broker should hold: where it does, none was lost."""
        ((awaited,),) = self._rows("SELECT runs_awaited()")
        return int(awaited)

    def _admit(self) -> int:
        return len(self.send(admit(self.pool) or []))

    def _rows(self, statement: str, batch: int = BATCH) -> list[tuple[Any, ...]]:
        limits = {"batch": batch, "grace": self.grace, "patience": self.patience}
        with self.pool.connection() as connection:
            return connection.execute(statement, limits).fetchall()

    def _wake(self, statement: str) -> int:
        """Find and wake in one transaction: what was found is not forgotten by a crash."""
        limits = {"batch": BATCH}
        with self.pool.connection() as connection, connection.transaction():
            rows = connection.execute(statement, limits).fetchall()
            for tenant_id, run_id, event, data in rows:
                connection.execute(
                    "SELECT runs_wake(%s, %s, %s, %s)", [tenant_id, run_id, event, Jsonb(data)]
                )
                faults.point("wake.before")
        if rows:
            faults.point("wake.after")
        return len(rows)

    def _expire(self) -> int:
        rows = self._rows(PAST_DEADLINE)
        with self.pool.connection() as connection:
            for tenant_id, run_id in rows:
                connection.execute(
                    "SELECT runs_stop(%s, %s, %s, 'system:sweeper', %s, 'past its deadline')",
                    [tenant_id, run_id, RunState.EXPIRED, ErrorClass.TIMEOUT],
                )
        return len(rows)

    def _relay(self) -> int:
        """Send what lies in the outbox; what could not be sent stays there."""
        limits = {"batch": BATCH, "grace": self.grace}
        with self.pool.connection() as connection, connection.transaction() as transaction:
            rows = connection.execute(RELAY, limits).fetchall()
            sent = len(self.send(_nudges(rows)))
            if rows:
                faults.point("relay.sent")
            if sent < len(rows):
                raise psycopg.Rollback(transaction)
        return sent

    def _resend_backtests(self) -> int:
        """Ask again for backtests whose worker or message was lost."""
        return sum(self.send_backtest(*row) for row in self._rows(LEFT_BACKTESTS))

    def _nudge(self, statement: str, most: int) -> int:
        return len(self.send(_nudges(self._rows(statement, min(most, BATCH)))))


def _nudges(rows: Iterable[tuple[Any, ...]]) -> list[Nudge]:
    return [
        Nudge(tenant_id=str(tenant), run_id=str(run), super_step=step, task=task)
        for tenant, run, step, task in rows
    ]
