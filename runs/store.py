"""Runs in PostgreSQL: each engine statement is one call of a function in `runs/sql`.

The one writer of run rows while they are worked on. Uses a small pool of connections
of its own, in autocommit: a statement is a transaction, and none is held across a call
to the world.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import psycopg
from psycopg import errors
from psycopg_pool import ConnectionPool

from policy.core.json import Json, JsonObject
from policy.core.money import Amounts
from runs import reading, writing
from runs.broods import Brood, Wait
from runs.clock import DatabaseClock
from runs.committing import PATIENCE, Committer, Kind, Part
from runs.core import results
from runs.core.checkpoint import encode
from runs.core.lifecycle import RunState
from runs.core.results import TaskResult
from runs.core.told import Told
from runs.errors import LeaseLost, StoreAway
from runs.ports import (
    Claimed,
    Joined,
    Lack,
    Lease,
    Nudge,
    Put,
    PutEffect,
    Renewed,
    Save,
    Saved,
    Settled,
    Spawned,
)
from runs.statements import AsJson, Statement

CRASH_LIMIT = 5
"""How many workers a super-step may cost before the run is parked as poison."""

AWAY = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError)
"""What a server that cannot serve now answers; no connection free, and a full disk, too."""

UNDONE = (errors.DeadlockDetected, errors.SerializationFailure)
"""Nothing of the statement was done, because another was in its way: it may go on at once."""

TRIES = 4

CLAIM = Statement("runs_claim", 5)
CLAIM_TASK = Statement("runs_claim_task", 6)
CLAIM_AGAIN = Statement("runs_claim_again", 7)
CLAIM_TASK_AGAIN = Statement("runs_claim_task_again", 8)
FAN_OUT = Statement("runs_fan_out", 4)
FINISH_TASK = Statement("runs_finish_task", 9)
PUT_EFFECT = Statement("runs_put_effect", 10)
SPAWN = Statement("runs_spawn", 13)
JOIN = Statement("runs_join_children", 13)
SAVE = Statement("runs_save", 12)
RELEASE = Statement("runs_release", 7)
RENEW = Statement("runs_renew", 2)
TAKE_SIGNAL = Statement("runs_take_signal", 10)
COMMIT = Statement("runs_commit", 2)
READ_TOLD = Statement("runs_read_told", 4, reads=True)
READ_LOG = Statement("runs_read_log", 4, reads=True)
READ_LACKING = Statement("runs_lacking", 3, reads=True)
SENT = Statement("runs_sent", 1)


ONWARD: Final = frozenset({RunState.RUNNING, RunState.QUEUED})
"""Where a save neither ends a run nor sets it aside, and so locks no join."""


class PostgresStore:
    """A `Store` over PostgreSQL. With `groups`, commits of different runs share transactions.

    The `clock` is told at each claim what time it is at the database.
    """

    def __init__(
        self,
        pool: ConnectionPool[Any],
        *,
        groups: bool = True,
        patience: float = PATIENCE,
        clock: DatabaseClock | None = None,
    ) -> None:
        self._pool = pool
        self.clock = clock or DatabaseClock()
        committer = Committer(self._alone, self._together, patience=patience)
        self._committer = committer if groups else None

    def _one(self, statement: Statement, *args: Any) -> Any:
        """Carry a statement out; again where the server undid it in favour of another.

        Raises:
            StoreAway: the server is away, full or out of something; what was sent may count.
        """
        for left in reversed(range(TRIES)):
            try:
                return self._value(statement, args)
            except AWAY as error:
                if not left or not isinstance(error, UNDONE):
                    raise StoreAway(f"{type(error).__name__}: {error}") from error
        raise AssertionError

    def _value(self, statement: Statement, args: Sequence[Any]) -> Any:
        """Borrow a connection for one statement; in autocommit there is nothing to end."""
        connection = self._pool.getconn()
        try:
            return statement.value(connection, args)
        finally:
            self._pool.putconn(connection)

    def _commit(self, kind: Kind, statement: Statement, *args: Any) -> Any:
        """Carry out a statement about the run named by the first two arguments."""
        part = Part(kind=kind, statement=statement, args=args)
        return self._alone(part) if self._committer is None else self._committer.commit(part)

    def _alone(self, part: Part) -> Any:
        return self._one(part.statement, *part.args)

    def _together(self, parts: Sequence[Part]) -> Sequence[Any]:
        """Carry out parts of several runs in one transaction.

        Raises:
            StoreAway: the connection was lost, so that nobody knows what became of them.
            psycopg.Error: the database refused one of them, and so all.
        """
        items = [[part.kind, *map(_plain, part.args)] for part in parts]
        moves_money = any(part.moves_money for part in parts)
        try:
            answers: list[Any] = self._value(COMMIT, (AsJson(items), moves_money))
        except AWAY as error:
            if _is_refused(error):
                raise
            raise StoreAway(f"{type(error).__name__}: {error}") from error
        return answers

    def claim(self, tenant_id: str, run_id: str, *, worker: str, ttl: float) -> Claimed | None:
        """Win the run's lease, or None if somebody holds it or it waits or has ended."""
        found = self._commit(Kind.CLAIM, CLAIM, tenant_id, run_id, worker, ttl, CRASH_LIMIT)
        return found and self._claimed(found, tenant_id, run_id, worker)

    def claim_task(self, nudge: Nudge, *, worker: str, ttl: float) -> Claimed | None:
        """Win one task's lease, or None if it is held, settled or of another super-step."""
        whose = nudge.tenant_id, nudge.run_id, nudge.super_step, nudge.task
        found = self._commit(Kind.CLAIM_TASK, CLAIM_TASK, *whose, worker, ttl)
        return found and self._claimed(found, nudge.tenant_id, nudge.run_id, worker, nudge.task)

    def claim_again(
        self,
        nudge: Nudge,
        lease: Lease | None,
        known: Sequence[Settled],
        *,
        worker: str,
        ttl: float,
    ) -> Claimed | None:
        """Win a run or task after the store went away; see `Store.claim_again`."""
        whose = nudge.tenant_id, nudge.run_id
        said = lease and lease.token, AsJson([writing.settled(item) for item in known])
        if nudge.task:
            task = *whose, nudge.super_step, nudge.task
            found = self._one(CLAIM_TASK_AGAIN, *task, worker, ttl, *said)
        else:
            found = self._one(CLAIM_AGAIN, *whose, worker, ttl, CRASH_LIMIT, *said)
        return found and self._claimed(found, *whose, worker, nudge.task)

    def read_log(self, run_id: str, tenant_id: str, channel: str, upto: int) -> list[Json]:
        """Read a log channel's items as of a super-step, oldest first."""
        items: list[Json] = self._one(READ_LOG, tenant_id, run_id, channel, upto)
        return items

    def read_told(self, lease: Lease, after: int) -> Told:
        """Read what a run was told; see `Store.read_told`."""
        found = self._one(READ_TOLD, lease.tenant_id, lease.run_id, after, lease.super_step)
        return reading.told(found)

    def put_effect(self, lease: Lease, put: PutEffect, before: Sequence[Settled]) -> Put:
        """Write an effect down, and what came of effects `before` it, in one commit."""
        return Put(self._commit(Kind.PUT_EFFECT, PUT_EFFECT, *_putting(lease, put, before)))

    def read_lacking(self, lease: Lease, wanted: Amounts) -> list[Lack]:
        """Read which budgets above a run lack something for good; see `Store.read_lacking`."""
        asked = AsJson(writing.amounts(wanted))
        found = self._one(READ_LACKING, lease.tenant_id, lease.run_id, asked)
        return [Lack(scope=b["scope"], unit=b["unit"], left=Decimal(b["left"])) for b in found]

    def take_signal(
        self, lease: Lease, put: PutEffect, before: Sequence[Settled]
    ) -> tuple[Put, JsonObject | None]:
        """Write down that a signal is waited for, and take one; see `Store.take_signal`."""
        found = self._one(TAKE_SIGNAL, *_putting(lease, put, before))
        return Put(found["put"]), found["signal"]

    def spawn(
        self, lease: Lease, put: PutEffect, brood: Brood, before: Sequence[Settled]
    ) -> Spawned:
        """Start children and write down the effect that says so; see `Store.spawn`."""
        found = self._one(
            SPAWN,
            *_putting(lease, put, before),
            brood.join_id,
            AsJson(writing.brood(brood)),
            AsJson(writing.newborns(brood)),
        )
        sent = _nudges(lease.tenant_id, found["sent"])
        return Spawned(put=Put(found["put"]), sent=sent, refused=found["refused"])

    def join(self, lease: Lease, put: PutEffect, wait: Wait, before: Sequence[Settled]) -> Joined:
        """Look at a brood; see `Store.join`."""
        found = self._one(
            JOIN,
            *_putting(lease, put, before),
            wait.join_id,
            wait.want_succeeded,
            wait.want_failed,
        )
        return Joined(
            put=Put(found["put"]),
            results=found["results"],
            sent=_nudges(lease.tenant_id, found["sent"]),
        )

    def fan_out(self, lease: Lease, tasks: Sequence[str]) -> list[Nudge]:
        """Give the run's lease back and open its tasks; see `Store.fan_out`."""
        sent = self._one(FAN_OUT, lease.tenant_id, lease.run_id, lease.token, tasks)
        if sent is None:
            raise LeaseLost(lease.run_id, lease.token)
        return [
            Nudge(
                tenant_id=lease.tenant_id,
                run_id=lease.run_id,
                super_step=lease.super_step,
                task=task,
                outbox_id=outbox_id,
            )
            for task, outbox_id in zip(tasks, sent, strict=True)
        ]

    def finish_task(
        self, lease: Lease, result: TaskResult, effects: Sequence[Settled], *, ttl: float
    ) -> Claimed | None:
        """Keep a task's result; the last task to finish wins the run's lease."""
        found = self._commit(
            Kind.FINISH_TASK,
            FINISH_TASK,
            lease.tenant_id,
            lease.run_id,
            lease.super_step,
            lease.task,
            lease.token,
            lease.worker,
            ttl,
            AsJson(results.to_json(result)),
            AsJson([writing.settled(item) for item in effects]),
        )
        if found is None:
            raise LeaseLost(lease.run_id, lease.token)
        if not found["last"]:
            return None
        return self._claimed(found, lease.tenant_id, lease.run_id, lease.worker)

    def save(self, lease: Lease, save: Save, *, ttl: float) -> Saved:
        """Commit a super-step, or raise LeaseLost and write nothing."""
        head = save.checkpoint and encode(save.checkpoint)
        more = writing.more(save)
        found = self._commit(
            _kind(save, more),
            SAVE,
            lease.tenant_id,
            lease.run_id,
            lease.token,
            lease.super_step,
            lease.worker,
            ttl,
            head and AsJson(head),
            AsJson(save.writes) if head else None,
            save.state,
            save.wakeups,
            AsJson(more),
            AsJson(save.events),
        )
        if found is None:
            raise LeaseLost(lease.run_id, lease.token)
        return Saved(
            state=RunState(found["state"]),
            wakeups=found["wakeups"],
            cancel=found["cancel"],
            sent=found["sent"],
            called_off=found["called_off"],
            called_upon=found.get("called_upon", False),
            others=_nudges(lease.tenant_id, found.get("others")),
        )

    def release(self, lease: Lease, effects: Sequence[Settled]) -> Nudge:
        """Give a run or a task back unfinished; see `Store.release`."""
        sent = self._one(
            RELEASE,
            lease.tenant_id,
            lease.run_id,
            lease.super_step,
            lease.task,
            lease.token,
            lease.worker,
            AsJson([writing.settled(item) for item in effects]),
        )
        if sent is None:
            raise LeaseLost(lease.run_id, lease.token)
        return Nudge(
            tenant_id=lease.tenant_id,
            run_id=lease.run_id,
            super_step=lease.super_step if lease.task else None,
            task=lease.task,
            outbox_id=sent,
        )

    def renew(self, leases: Sequence[Lease], *, ttl: float) -> Renewed:
        """Keep leases from expiring, in one statement; say which are lost or called off."""
        wanted = [[le.tenant_id, le.run_id, le.super_step, le.task, le.token] for le in leases]
        found = self._one(RENEW, ttl, AsJson(wanted))
        return Renewed(
            lost=frozenset(leases[n] for n in found["lost"]),
            cancelled=frozenset(leases[n] for n in found["cancelled"]),
        )

    def forget(self, outbox_ids: Sequence[int]) -> None:
        """Remove outbox messages that were sent."""
        self._one(SENT, outbox_ids)

    def _claimed(self, found: Mapping[str, Any], *whose: str) -> Claimed:
        claimed = reading.claimed(found, *whose)
        self.clock.hear(claimed.now)
        return claimed


def _kind(save: Save, more: Mapping[str, Any]) -> Kind:
    if save.state is RunState.RUNNING and save.checkpoint and not more:
        return Kind.GO_ON
    return Kind.SAVE if save.effects or save.state not in ONWARD else Kind.PLAIN_SAVE


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, AsJson) else value


def _is_refused(error: psycopg.Error) -> bool:
    """Tell an answer (a deadlock, a lock not had in time) from a connection that went away."""
    state = error.sqlstate or "08"
    return not state.startswith(("08", "57P"))


def _putting(lease: Lease, put: PutEffect, before: Sequence[Settled]) -> tuple[Any, ...]:
    return (
        lease.tenant_id,
        lease.run_id,
        lease.super_step,
        put.place.task,
        put.place.ordinal,
        lease.token,
        not lease.task,
        lease.worker,
        AsJson(writing.put(put)),
        AsJson([writing.settled(item) for item in before]),
    )


def _nudges(tenant_id: str, sent: Sequence[Any] | None) -> list[Nudge]:
    return [Nudge(tenant_id=tenant_id, run_id=run, outbox_id=n) for run, n in sent or ()]
