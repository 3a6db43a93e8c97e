"""The rows of a store in memory: what PostgreSQL has tables for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count

from policy.core.json import Json, JsonObject
from policy.core.money import Amounts
from policy.core.rules.approvals import ApprovalTerms
from runs.core.admission import Priority
from runs.core.checkpoint import decode_head
from runs.core.effects import EffectKind, EffectState, Place
from runs.core.lifecycle import Reason, RunState
from runs.core.results import TaskResult
from runs.ports import Nudge, PutEffect


def stored(value: Json) -> Json:
    """Give a value as a database would give it back: a copy, and JSON or nothing.

    Raises:
        TypeError: it is not JSON.
        ValueError: it holds NaN or an infinity.
    """
    return json.loads(json.dumps(value, allow_nan=False))


@dataclass(slots=True, kw_only=True)
class TaskRow:
    """One task of a super-step that was fanned out, or kept beside one that waits."""

    state: str = "pending"
    token: int = 0
    worker: str | None = None
    lease_until: datetime | None = None
    crashes: int = 0
    result: TaskResult | None = None


@dataclass(slots=True, kw_only=True)
class EffectRow:
    """One line of the ledger."""

    place: Place
    kind: EffectKind
    name: str
    version: str
    effect: str
    digest: str
    request: Json
    state: EffectState
    token: int
    attempt: int = 0
    attempts: list[JsonObject] = field(default_factory=list)
    decision: JsonObject = field(default_factory=dict)
    approval_id: str = ""
    outcome: Json = None
    error_class: str = ""
    reserved: Amounts = field(default_factory=Amounts)
    cost: Decimal = Decimal(0)
    tokens: int = 0
    price_version: str = ""
    estimated: bool = False
    claimed_at: datetime | None = None
    compensates: str = ""

    @staticmethod
    def of(put: PutEffect, token: int) -> EffectRow:
        """Make the row of an effect that was not asked for before."""
        return EffectRow(
            place=put.place,
            kind=put.kind,
            name=put.name,
            version=put.version,
            effect=put.effect,
            digest=put.digest,
            request=stored(put.request),
            state=put.state,
            token=token,
            compensates=put.compensates,
        )

    @property
    def calls(self) -> Amounts:
        """Count one call of the effect's kind."""
        if self.kind is EffectKind.MODEL:
            return Amounts(model_calls=1)
        return Amounts(tool_calls=1)


@dataclass(slots=True, kw_only=True)
class ApprovalRow:
    """A question to a person."""

    id: str
    run_id: str
    place: Place
    kind: str
    tool: str
    arguments: Json
    digest: str
    policy_version: str
    rule: str
    reason: str
    expires_at: datetime
    created_at: datetime
    risk: str = ""
    terms: ApprovalTerms = field(default_factory=ApprovalTerms)
    groups: frozenset[str] = frozenset()
    owners: frozenset[str] = frozenset()
    rung: int = 0
    extended: bool = False
    proposed: Json = None
    edited_by: str = ""
    votes: set[str] = field(default_factory=set)
    state: str = "open"
    decided_by: str = ""
    decision_reason: str = ""
    result: Json = None
    corrections: JsonObject = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class SignalRow:
    """What somebody told a run by name."""

    id: str
    name: str
    payload: Json
    taken_by: Place | None = None


@dataclass(slots=True, kw_only=True)
class CheckpointRow:
    """A head, the writes of its super-step, and the token they were committed under."""

    head: JsonObject
    writes: Mapping[str, Json]
    token: int


@dataclass(slots=True, kw_only=True)
class JoinRow:
    """What a run waits for of the children it spawned at one place."""

    run_id: str
    total: int
    succeeded: int = 0
    failed: int = 0
    want_succeeded: int | None = None
    want_failed: int | None = None
    is_over: bool = False

    @property
    def is_joined(self) -> bool:
        """Say whether it is waited for and has come to what was wanted."""
        if self.want_succeeded is None or self.want_failed is None:
            return False
        return (
            self.succeeded >= self.want_succeeded
            or self.failed >= self.want_failed
            or self.succeeded + self.failed >= self.total
        )


@dataclass(slots=True, kw_only=True)
class MigrationRow:
    """A run's change of version: from and to which, and where it stood afterwards."""

    origin: str
    target: str
    super_step: int
    token: int
    appended: bool


@dataclass(slots=True, kw_only=True)
class RunRow:
    """One run and everything that hangs on it."""

    tenant_id: str
    id: str
    agent: str
    agent_version_id: str
    started_by: str = ""
    principal_id: str = ""
    state: RunState = RunState.QUEUED
    priority: Priority = Priority.NORMAL
    queue_at: datetime | None = None
    reason: Reason = Reason.NONE
    super_step: int = 0
    open_tasks: int = 0
    wakeups: int = 0
    wakeups_seen: int = 0
    crashes: int = 0
    token: int = 0
    worker: str | None = None
    lease_until: datetime | None = None
    due_at: datetime | None = None
    deadline: datetime | None = None
    deadline_left: timedelta | None = None
    deadline_stops: bool = False
    cancel: bool = False
    budgets: Sequence[str] = ()
    ancestors: tuple[str, ...] = ()
    family: int = 0
    """How many may descend from it, once it has children and was spawned by nobody."""
    join_id: str = ""
    output: Json = None
    error_class: str = ""
    error_detail: str = ""
    events: list[tuple[str, JsonObject]] = field(default_factory=list)
    checkpoints: dict[int, CheckpointRow] = field(default_factory=dict)
    tasks: dict[tuple[int, str], TaskRow] = field(default_factory=dict)
    effects: dict[Place, EffectRow] = field(default_factory=dict)
    signals: dict[str, SignalRow] = field(default_factory=dict)
    migrations: list[MigrationRow] = field(default_factory=list)

    def emit(self, kind: str, data: JsonObject) -> None:
        """Append an event; its number is its place in the list, from 1."""
        self.events.append((kind, stored(data)))

    def commit(self, checkpoint: CheckpointRow) -> None:
        """Append a super-step's checkpoint, and the event that says so."""
        ran = [task[0] for task in self.checkpoints[self.super_step].head["tasks"]]
        self.super_step += 1
        self.checkpoints[self.super_step] = checkpoint
        self.emit("super_step.committed", {"super_step": self.super_step, "tasks": ran})

    def free(self) -> None:
        """Give the lease back."""
        self.worker = self.lease_until = None


class Outbox(dict[int, Nudge]):
    """Messages that were left and not removed yet, by their numbers."""

    def __init__(self) -> None:
        super().__init__()
        self._numbers = count(1)

    def leave(self, run: RunRow, task: str = "") -> Nudge:
        """Leave a message that says: look at this run, or at this task of it."""
        number = next(self._numbers)
        self[number] = Nudge(
            tenant_id=run.tenant_id,
            run_id=run.id,
            super_step=run.super_step if task else None,
            task=task,
            outbox_id=number,
        )
        return self[number]


def kept_of(run: RunRow) -> dict[str, TaskResult]:
    """Give the results of the present super-step's tasks that are settled."""
    return {
        name: row.result
        for (step, name), row in run.tasks.items()
        if step == run.super_step and row.state == "settled" and row.result is not None
    }


def values_of(run: RunRow, head: JsonObject) -> dict[str, Json]:
    """Give the channels' values as of a head, logs apart."""
    decoded = decode_head(head)
    logs = decoded.get("logs", {})
    written = {name: step for name, step in decoded["written"].items() if name not in logs}
    return {n: stored(run.checkpoints[step].writes[n]) for n, step in written.items()}


def log_of(run: RunRow, channel: str, upto: int) -> list[Json]:
    """Give a log's items as of a super-step; what a rewind left behind is skipped."""
    rows = [(n, r) for n, r in sorted(run.checkpoints.items()) if n <= upto]
    gaps = decode_head(rows[-1][1].head).get("skipped", []) if rows else []
    line = [row for n, row in rows if not any(a <= n <= b for a, b in gaps)]
    return [item for row in line for item in row.writes.get(channel, ())]
