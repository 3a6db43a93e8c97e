"""Runs in PostgreSQL: each engine statement is one call of a function in `runs/sql`.

The one writer of run rows while they are worked on. Uses a small pool of connections
of its own, in autocommit: a statement is a transaction, and none is held across a call
to the world.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
import psycopg
from psycopg.types.json import Jsonb
from psycopg_pool import ConnectionPool

from policy.core.json import Json, JsonObject
from runs import writing
from runs.committing import PATIENCE, Committer, Part
from runs.core import results
from runs.core.checkpoint import encode
from runs.core.effects import EffectState, Place, Recorded
from runs.core.lifecycle import FINAL, RunState
from runs.core.results import TaskResult
from runs.errors import LeaseLost, StoreAway
from runs.ports import (
    Brood,
    Claimed,
    Joined,
    Lease,
    Nudge,
    Put,
    PutEffect,
    Renewed,
    Save,
    Saved,
    Settled,
    Spawned,
    Wait,
)

CRASH_LIMIT = 5
"""How many workers a super-step may cost before the run is parked as poison."""

CLAIM = "SELECT runs_claim(%s, %s, %s, %s, %s)"
CLAIM_TASK = "SELECT runs_claim_task(%s, %s, %s, %s, %s, %s)"
FAN_OUT = "SELECT runs_fan_out(%s, %s, %s, %s)"
FINISH_TASK = "SELECT runs_finish_task(%s, %s, %s, %s, %s, %s, %s, %s, %s)"
PUT_EFFECT = "SELECT runs_put_effect(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
SPAWN = "SELECT runs_spawn(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
JOIN = "SELECT runs_join_children(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
SAVE = "SELECT runs_save(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
RELEASE = "SELECT runs_release(%s, %s, %s, %s, %s, %s, %s)"
RENEW = "SELECT runs_renew(%s, %s)"
TAKE_SIGNAL = "SELECT runs_take_signal(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
COMMIT = "SELECT runs_commit(%s, %s)"
READ_LOG = "SELECT runs_read_log(%s, %s, %s, %s)"


def _dumps(value: Any) -> bytes:
    return orjson.dumps(value, default=str)


def _jsonb(value: Any) -> Jsonb:
    return Jsonb(value, dumps=_dumps)


class PostgresStore:
    """A `Store` over PostgreSQL. With `groups`, commits of different runs share transactions."""

    def __init__(
        self, pool: ConnectionPool, *, groups: bool = True, patience: float = PATIENCE
    ) -> None:
        self._pool = pool
        committer = Committer(self._alone, self._together, patience=patience)
        self._committer = committer if groups else None

    def _one(self, statement: str, *args: Any) -> Any:
        try:
            with self._pool.connection() as connection:
                row = connection.execute(statement, args).fetchone()
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise StoreAway(f"{type(error).__name__}: {error}") from error
        return row[0] if row else None

    def _commit(self, kind: str, statement: str, *args: Any) -> Any:
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
            with self._pool.connection() as connection:
                row = connection.execute(COMMIT, (_jsonb(items), moves_money)).fetchone()
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            if _is_refused(error):
                raise
            raise StoreAway(f"{type(error).__name__}: {error}") from error
        answers: list[Any] = row[0] if row else []
        return answers

    def claim(self, tenant_id: str, run_id: str, *, worker: str, ttl: float) -> Claimed | None:
        """Win the run's lease, or None if somebody holds it or it waits or has ended."""
        found = self._one(CLAIM, tenant_id, run_id, worker, ttl, CRASH_LIMIT)
        return found and _claimed(found, tenant_id, run_id, worker)

    def claim_task(self, nudge: Nudge, *, worker: str, ttl: float) -> Claimed | None:
        """Win one task's lease, or None if it is held, settled or of another super-step."""
        found = self._one(
            CLAIM_TASK, nudge.tenant_id, nudge.run_id, nudge.super_step, nudge.task, worker, ttl
        )
        return found and _claimed(found, nudge.tenant_id, nudge.run_id, worker, nudge.task)

    def read_log(self, run_id: str, tenant_id: str, channel: str, upto: int) -> list[Json]:
        """Read a log channel's items as of a super-step, oldest first."""
        items: list[Json] = self._one(READ_LOG, tenant_id, run_id, channel, upto)
        return items

    def put_effect(self, lease: Lease, put: PutEffect, before: Sequence[Settled]) -> Put:
        """Write an effect down, and what came of effects `before` it, in one commit."""
        return Put(self._commit("put_effect", PUT_EFFECT, *_putting(lease, put, before)))

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
            _jsonb(writing.brood(brood)),
            _jsonb(writing.newborns(brood)),
        )
        return Spawned(put=Put(found["put"]), sent=_nudges(lease.tenant_id, found["sent"]))

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
        sent = self._one(FAN_OUT, lease.tenant_id, lease.run_id, lease.token, list(tasks))
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
            "finish_task",
            FINISH_TASK,
            lease.tenant_id,
            lease.run_id,
            lease.super_step,
            lease.task,
            lease.token,
            lease.worker,
            ttl,
            _jsonb(results.to_json(result)),
            _jsonb([writing.settled(item) for item in effects]),
        )
        if found is None:
            raise LeaseLost(lease.run_id, lease.token)
        if not found["last"]:
            return None
        return _claimed(found, lease.tenant_id, lease.run_id, lease.worker)

    def save(self, lease: Lease, save: Save, *, ttl: float) -> Saved:
        """Commit a super-step, or raise LeaseLost and write nothing."""
        head = save.checkpoint and encode(save.checkpoint)
        found = self._commit(
            "save" if save.effects or save.state in FINAL else "plain_save",
            SAVE,
            lease.tenant_id,
            lease.run_id,
            lease.token,
            lease.super_step,
            lease.worker,
            ttl,
            head and _jsonb(head),
            _jsonb(save.writes) if head else None,
            save.state,
            save.wakeups,
            _jsonb(writing.more(save)),
            _jsonb(save.events),
        )
        if found is None:
            raise LeaseLost(lease.run_id, lease.token)
        return Saved(
            state=RunState(found["state"]),
            wakeups=found["wakeups"],
            cancel=found["cancel"],
            sent=found["sent"],
            called_off=found["called_off"],
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
            _jsonb([writing.settled(item) for item in effects]),
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
        found = self._one(RENEW, ttl, _jsonb(wanted))
        return Renewed(
            lost=frozenset(leases[n] for n in found["lost"]),
            cancelled=frozenset(leases[n] for n in found["cancelled"]),
        )

    def forget(self, outbox_ids: Sequence[int]) -> None:
        """Remove outbox messages that were sent."""
        self._one("SELECT runs_sent(%s)", list(outbox_ids))


def _plain(value: Any) -> Any:
    return value.obj if isinstance(value, Jsonb) else value


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
        _jsonb(writing.put(put)),
        _jsonb([writing.settled(item) for item in before]),
    )


def _nudges(tenant_id: str, sent: Sequence[Any] | None) -> list[Nudge]:
    return [Nudge(tenant_id=tenant_id, run_id=run, outbox_id=n) for run, n in sent or ()]


def _claimed(
    found: Mapping[str, Any], tenant_id: str, run_id: str, worker: str, task: str = ""
) -> Claimed:
    deadline = found["deadline"]
    super_step = found["super_step"]
    return Claimed(
        lease=Lease(
            tenant_id=tenant_id,
            run_id=run_id,
            super_step=super_step,
            token=found["task_token"] if task else found["token"],
            worker=worker,
            task=task,
        ),
        agent_version_id=found["agent_version"],
        agent=found["agent"],
        principal_id=found["principal"] or "",
        started_by=found["started_by"],
        wakeups=found["wakeups"],
        deadline=None if deadline is None else datetime.fromtimestamp(deadline, UTC),
        now=datetime.fromtimestamp(found["now"], UTC),
        cancel=found["cancel"],
        policy_version_id=found["policy"],
        head=found["head"],
        values=found["values"],
        kept={name: results.from_json(raw) for name, raw in (found["kept"] or {}).items()},
        ledger=[_recorded(super_step, raw) for raw in found["ledger"] or ()],
        crashes=found.get("crashes", 0),
        roles=tuple(found["roles"] or ()),
        depth=found["depth"],
    )


def _recorded(super_step: int, raw: Mapping[str, Any]) -> Recorded:
    return Recorded(
        place=Place(super_step, raw["task"], raw["ordinal"]),
        digest=raw["digest"],
        state=EffectState(raw["state"]),
        effect=raw["effect"],
        attempt=raw["attempt"],
        outcome=raw["outcome"],
        approval=raw["approval"] or "",
        approval_digest=raw["approval_digest"] or "",
        approval_policy=raw["approval_policy"] or "",
        approval_by=raw["approval_by"] or "",
        approval_reason=raw["approval_reason"] or "",
        approval_result=raw["approval_result"],
    )
