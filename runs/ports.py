"""What the engine needs of a store: claim, put down, save. One protocol, two stores.

`runs.store` keeps runs in PostgreSQL; `runs.testing` keeps them in memory, for the
tests of agents' authors. One contract suite runs against both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from policy.core.json import Json, JsonObject
from policy.core.money import Amounts
from policy.core.outcomes import Usage
from policy.core.rules.approvals import ApprovalTerms
from runs.broods import Brood, Wait
from runs.core.checkpoint import Checkpoint
from runs.core.effects import EffectKind, EffectState, Place, Recorded
from runs.core.lifecycle import Reason, RunState
from runs.core.results import Held, TaskResult
from runs.core.told import Told


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to write for a run, or for one task of it (`task`), until somebody's newer one."""

    tenant_id: str
    run_id: str
    super_step: int
    token: int
    worker: str
    task: str = ""

    def at(self, super_step: int) -> Lease:
        """Give the same right for another super-step of the run."""
        return Lease(
            tenant_id=self.tenant_id,
            run_id=self.run_id,
            super_step=super_step,
            token=self.token,
            worker=self.worker,
            task=self.task,
        )


@dataclass(slots=True)
class Tally:
    """What the holder of a lease has begun and spent since it was won."""

    calls: int = 0
    cost: Decimal = Decimal(0)


@dataclass(slots=True, kw_only=True)
class Claimed:
    """A run as it was found when its lease was won; its holder moves it on after each commit.

    `spent` and `calls` are what the run had spent and how many tool calls it had begun by then;
    `tally` is what its holder adds, also over several super-steps. `known` is what the effects of
    this super-step came to since, written down or not. `above` are the agent versions of the runs
    that spawned it, in no order.
    """

    lease: Lease
    agent_version_id: str
    agent: str
    principal_id: str
    started_by: str
    wakeups: int
    deadline: datetime | None
    now: datetime
    cancel: bool
    policy_version_id: str | None
    head: JsonObject
    values: Mapping[str, Json]
    kept: Mapping[str, TaskResult]
    ledger: Sequence[Recorded]
    crashes: int = 0
    roles: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    tenant: str = ""
    spent: Decimal = Decimal(0)
    calls: int = 0
    tally: Tally = field(default_factory=Tally)
    known: dict[Place, Settled] = field(default_factory=dict)
    above: tuple[str, ...] = ()

    def awake(self) -> Claimed:
        """Forget that tasks were held: whatever they waited for may have come."""
        kept = {task: r for task, r in self.kept.items() if not isinstance(r, Held)}
        return replace(self, kept=kept)

    def move(self, super_step: int, saved: Saved) -> None:
        """Stand at the next super-step, with an empty ledger and nothing kept."""
        self.lease = self.lease.at(super_step)
        self.cancel, self.wakeups = saved.cancel, saved.wakeups
        self.kept, self.ledger, self.known = {}, (), {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """An approval to ask for: what kind, under which rule and terms, for how long (seconds).

    `proposed` is what the agent asked for, where a person edited the call that is asked about.
    """

    id: str
    kind: str
    digest: str
    policy_version: str
    rule: str
    reason: str
    seconds: float
    risk: str = ""
    terms: ApprovalTerms = field(default_factory=ApprovalTerms)
    triggers: Sequence[JsonObject] = ()
    signals: JsonObject = field(default_factory=dict)
    proposed: Json = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PutEffect:
    """An effect to write into the ledger before anything is sent.

    Where it is claimed, the lease it is written under lasts `keep` seconds more, at least.
    """

    place: Place
    kind: EffectKind
    name: str
    version: str
    effect: str
    digest: str
    request: Json
    state: EffectState
    decision: JsonObject = field(default_factory=dict)
    reserve: Amounts = field(default_factory=Amounts)
    question: Question | None = None
    outcome: Json = None
    error_class: str = ""
    lost: str = ""
    keep: float = 0.0
    compensates: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What came of an effect that was claimed: its new state, outcome and use.

    `found` is what a reconcile hook answered of the attempt before.
    """

    place: Place
    state: EffectState
    outcome: Json = None
    error_class: str = ""
    usage: Usage = field(default_factory=Usage)
    attempt_failed: JsonObject | None = None
    found: JsonObject | None = None


class Put(StrEnum):
    """What became of a wish to write an effect down.

    RESERVED: the money is there, but set aside for calls under way, which may give it back.
    COMPENSATED: another call compensates that effect, or did.
    """

    OK = "ok"
    LEASE_LOST = "lease_lost"
    CANCELLED = "cancelled"
    DEADLINE = "deadline"
    COMPENSATED = "compensated"
    RESERVED = "reserved"
    COST = "cost"
    TOKENS = "tokens"
    MODEL_CALLS = "model_calls"
    TOOL_CALLS = "tool_calls"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lack:
    """A budget that a call does not fit in, were all under way free: what is left of a unit."""

    scope: str
    unit: str
    left: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Save:
    """Everything that happened in a super-step, to be committed at once or not at all.

    Without a checkpoint the run is set aside (`state` waiting, interrupted or paused)
    or ends. One that ends for a `reason` ends only if nobody called upon it meanwhile. With a
    checkpoint, the store tells `super_step.committed` before the `events`.
    """

    state: RunState
    wakeups: int
    checkpoint: Checkpoint | None = None
    writes: Mapping[str, Json] = field(default_factory=dict)
    effects: Sequence[Settled] = ()
    kept: Mapping[str, TaskResult] = field(default_factory=dict)
    reason: Reason = Reason.NONE
    due_at: datetime | None = None
    output: Json = None
    error_class: str = ""
    error_detail: str = ""
    events: Sequence[tuple[str, JsonObject]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """What the store made of a save: the state reached, and whether anybody asked to cancel.

    `called_off` means that nothing was saved: the run was to succeed or to be set aside, but
    somebody cancelled it meanwhile. Its holder saves that end instead. `called_upon`: nothing was
    saved either, for it was to end for a reason that may be gone; it is set aside instead. `others`
    are messages to the run's parent and children, left in the outbox.
    """

    state: RunState
    wakeups: int
    cancel: bool
    sent: int | None
    called_off: bool = False
    called_upon: bool = False
    others: Sequence[Nudge] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewed:
    """What renewing leases brought to light; those that are named in neither are kept."""

    lost: frozenset[Lease] = frozenset()
    cancelled: frozenset[Lease] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Nudge:
    """A message to send: look at this run, or at this task of it."""

    tenant_id: str
    run_id: str
    super_step: int | None = None
    task: str = ""
    outbox_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spawned:
    """What became of a wish to start children, and the messages left for them.

    `refused` says why it was written down that none were started: they are too many.
    """

    put: Put
    sent: Sequence[Nudge] = ()
    refused: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """What came of the children (`run`, `state`, `output` and so on), or None: not decided yet."""

    put: Put
    results: Sequence[JsonObject] | None = None
    sent: Sequence[Nudge] = ()


class Store(Protocol):
    """Every statement the engine can make about a run."""

    def claim(self, tenant_id: str, run_id: str, *, worker: str, ttl: float) -> Claimed | None:
        """Win the run's lease, or None if somebody holds it or it waits or has ended."""
        ...

    def claim_task(self, nudge: Nudge, *, worker: str, ttl: float) -> Claimed | None:
        """Win one task's lease, or None if it is held, settled or of another super-step."""
        ...

    def claim_again(
        self,
        nudge: Nudge,
        lease: Lease | None,
        known: Sequence[Settled],
        *,
        worker: str,
        ttl: float,
    ) -> Claimed | None:
        """Win a run or task after the store went away, as `claim`; also what the worker itself has.

        That is what it holds by the `lease`; without one, what it holds and calls nothing under.
        It is won under a new token at once, and no crash is counted. What is `known` of effects
        that were written down under the lease, and not what came of them, is written down first.
        """
        ...

    def read_log(self, run_id: str, tenant_id: str, channel: str, upto: int) -> list[Json]:
        """Read a log channel's items as of a super-step, oldest first."""
        ...

    def read_told(self, lease: Lease, after: int) -> Told:
        """Read what a run was told in super-steps from `after` up to the lease's, its own apart."""
        ...

    def put_effect(self, lease: Lease, put: PutEffect, before: Sequence[Settled]) -> Put:
        """Write an effect down, and what came of effects `before` it, in one commit."""
        ...

    def read_lacking(self, lease: Lease, wanted: Amounts) -> list[Lack]:
        """Read which budgets above a run lack something for good, and what they have left."""
        ...

    def take_signal(
        self, lease: Lease, put: PutEffect, before: Sequence[Settled]
    ) -> tuple[Put, JsonObject | None]:
        """Write down that a signal `put.name` is waited for, and take the oldest one for it.

        Gives its `id` and `payload`; asked again by the same place, the same ones. None where
        no signal of that name is there yet.
        """
        ...

    def spawn(
        self, lease: Lease, put: PutEffect, brood: Brood, before: Sequence[Settled]
    ) -> Spawned:
        """Start children and write down the effect that says so, as `put_effect`."""
        ...

    def join(self, lease: Lease, put: PutEffect, wait: Wait, before: Sequence[Settled]) -> Joined:
        """Look at a brood: if it is decided the effect is done, else it is written as `put` says.

        The rest of a brood that is decided is called off. The run may be claimed as soon as
        one that it waits for is decided, whatever else it waits for.
        """
        ...

    def fan_out(self, lease: Lease, tasks: Sequence[str]) -> list[Nudge]:
        """Give the run's lease back and open its tasks.

        Raises:
            LeaseLost: somebody else holds the run; nothing was written.
        """
        ...

    def finish_task(
        self, lease: Lease, result: TaskResult, effects: Sequence[Settled], *, ttl: float
    ) -> Claimed | None:
        """Keep a task's result; the last task to finish wins the run's lease.

        Raises:
            LeaseLost: somebody else holds the task; nothing was written.
        """
        ...

    def save(self, lease: Lease, save: Save, *, ttl: float) -> Saved:
        """Commit a super-step.

        Raises:
            LeaseLost: somebody else holds the run; nothing was written.
        """
        ...

    def release(self, lease: Lease, effects: Sequence[Settled]) -> Nudge:
        """Give a run or a task back unfinished, with what its effects came to.

        Nothing is counted as a crash, and whoever is nudged may claim it at once.

        Raises:
            LeaseLost: somebody else holds it; nothing was written.
        """
        ...
