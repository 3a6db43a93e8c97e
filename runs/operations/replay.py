"""Replay a recorded run from its rows: the engine's own code, the ledger's answers, no calls.

Each super-step that was committed is executed again over the ledger as it stands, and what
it would have committed is compared with what was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from typing import Any, NoReturn
from uuid import UUID

from policy.core.json import Json, JsonObject, digest
from policy.core.outcomes import ErrorClass
from policy.models import Approval
from runs import queries
from runs.agents.program import Program
from runs.agents.versions import program_of
from runs.artifacts.here import kept_here
from runs.brake import Brake
from runs.carrier import finish
from runs.core.channels import Log
from runs.core.checkpoint import Checkpoint, encode
from runs.core.effects import EffectState, Place, Recorded, corrections
from runs.core.guards import TASK
from runs.core.reconcile import Advance, Fail, reconcile
from runs.core.recorded.travel import rewound
from runs.errors import RunsError, UnknownRun
from runs.execute import execute
from runs.live import LiveWorld
from runs.loop import IoLoop
from runs.models import Checkpoint as Row
from runs.models import Effect, Run
from runs.ports import Claimed, Lease
from runs.shell import Shell
from tools.core.spec import ToolSpec
from tools.errors import UnknownTool


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """How far it went, whether all was the same, and a digest of everything recorded."""

    super_steps: int
    first_difference: str | None
    digest: str


class AskedAnew(RunsError):  # noqa: N818
    """A replay came to a question that the ledger does not answer; nothing was asked."""

    error_class = ErrorClass.NONDETERMINISM


def replay_run(run_id: UUID) -> Replayed:
    """Replay a run of the open scope's tenant.

    Raises:
        UnknownRun: the tenant has no such run.
        UnknownAgent: this code cannot run its agent version.
    """
    run = Run.objects.filter(pk=run_id).first()
    if run is None:
        raise UnknownRun(f"there is no run {run_id}")
    loop = IoLoop()
    try:
        return _Replay(run, loop).whole()
    finally:
        loop.close()


class _Replay:
    """One run, replayed from its first checkpoint to its last."""

    def __init__(self, run: Run, loop: IoLoop) -> None:
        self.run, self.loop = run, loop
        self.migrations = queries.migration_checkpoints(run.pk)
        self.at: Checkpoint | None = None

    def whole(self) -> Replayed:
        """Go from checkpoint to checkpoint until one differs."""
        parts: list[Json] = []
        difference, steps = None, 0
        for row in Row.objects.filter(run_id=self.run.pk).order_by("super_step").iterator():
            parts.append([row.super_step, row.head, row.writes])
            if row.super_step and difference is None:
                difference = self._compared(row)
                steps += difference is None
        return Replayed(super_steps=steps, first_difference=difference, digest=digest(*parts))

    def _compared(self, row: Row) -> str | None:
        """Say how a checkpoint differs from what the one before it leads to."""
        number = row.super_step - 1
        if row.super_step in self.migrations:
            self.at = _whole(self.run.pk, row.super_step)
            return None
        past = _gone_back_to(row)
        if past is not None:
            self.at = rewound(_whole(self.run.pk, past), number)
            return _difference(number, row, encode(self.at), {})
        checkpoint = self.at or _whole(self.run.pk, number)
        commit = self._commit(checkpoint, row.at)
        if isinstance(commit, Advance):
            self.at = commit.checkpoint
            return _difference(number, row, encode(commit.checkpoint), commit.writes)
        why = commit.detail if isinstance(commit, Fail) else "it would wait"
        return f"super-step {number} was committed, but now: {why}"

    def _commit(self, checkpoint: Checkpoint, at: datetime) -> Any:
        claimed, shell = self._claimed(checkpoint.super_step, at), self._shell(at)
        program = self._program(checkpoint.super_step)
        leave = any(row.place.task == TASK for row in claimed.ledger)
        results = {
            task.id: finish(
                execute(shell, claimed, program, checkpoint, task, Brake()), shell.loop.run
            ).result
            for task in checkpoint.tasks
        }
        return reconcile(
            program.graph,
            checkpoint,
            results,
            leave=leave,
            corrections=corrections(claimed.ledger),
        )

    def _program(self, super_step: int) -> Program:
        """Give the program that a super-step was executed with."""
        return program_of(queries.version_at(self.run.pk, super_step))

    def _claimed(self, super_step: int, at: datetime) -> Claimed:
        rows = Effect.objects.filter(run_id=self.run.pk, super_step=super_step)
        lease = Lease(
            tenant_id=str(self.run.tenant_id),
            run_id=str(self.run.pk),
            super_step=super_step,
            token=0,
            worker="replay",
        )
        return Claimed(
            lease=lease,
            agent_version_id=str(self.run.agent_version_id),
            agent=self.run.agent_name,
            principal_id=str(self.run.principal_id or ""),
            started_by=self.run.started_by,
            wakeups=0,
            deadline=None,
            now=at,
            cancel=False,
            policy_version_id=None,
            head={},
            values={},
            kept={},
            ledger=_ledger(list(rows)),
        )

    def _shell(self, at: datetime) -> Shell:
        closed: Any = _Closed()
        return Shell(
            store=closed,
            world=closed,
            loop=self.loop,
            clock=lambda: at,
            mint=lambda: "",
            worker="replay",
            ttl=60.0,
        )


class _Closed:
    """A store and a world in one, that let nothing out: only granted tools can be listed."""

    def tools(self, tenant_id: str, granted: Sequence[str]) -> list[ToolSpec]:
        """Find the tools on offer, as a model was told of them; a question's name is without."""
        return LiveWorld().tools(tenant_id, granted)

    def tool(self, _tenant_id: str, name: str) -> NoReturn:
        """Know no tool: what was recorded needs none."""
        raise UnknownTool(name)

    def __init__(self) -> None:
        self._written: dict[str, bytes] = {}

    def keep(self, _tenant_id: str, data: bytes) -> str:
        """Keep nothing, but remember for this replay what it wrote."""
        digest = sha256(data).hexdigest()
        self._written[digest] = data
        return digest

    def kept(self, tenant_id: str, digest: str) -> bytes:
        """Give what the replay wrote, or what the run did."""
        written = self._written.get(digest)
        return kept_here().kept(tenant_id, digest) if written is None else written

    def __getattr__(self, name: str) -> Any:
        def refuse(*_args: Any, **_more: Any) -> NoReturn:
            raise AskedAnew(f"the ledger does not answer what it asks ({name})")

        return refuse


def _ledger(rows: list[Effect]) -> list[Recorded]:
    asked = Approval.objects.filter(pk__in=[row.approval_id for row in rows if row.approval_id])
    corrected: dict[UUID | None, JsonObject] = dict(asked.values_list("id", "corrections"))
    return [_recorded(row, corrected.get(row.approval_id, {})) for row in rows]


def _recorded(row: Effect, corrected: JsonObject) -> Recorded:
    return Recorded(
        place=Place(row.super_step, row.task, row.ordinal),
        digest=row.digest,
        state=EffectState(row.state),
        effect=row.effect,
        attempt=row.attempt,
        outcome=row.outcome,
        corrections=corrected,
    )


def _whole(run_id: UUID, super_step: int) -> Checkpoint:
    """Read a checkpoint with its logs, for nodes may read them off this thread."""
    found = queries.checkpoint_of(run_id, super_step)
    channels = {
        name: Log().extended(value.items()) if isinstance(value, Log) else value
        for name, value in found.channels.items()
    }
    return replace(found, channels=channels)


def _gone_back_to(row: Row) -> int | None:
    """Give the checkpoint that a rewind's stands for; None where it is no rewind's."""
    skipped = row.head.get("skipped", [])
    if skipped and skipped[-1][1] == row.super_step - 1:
        return int(skipped[-1][0]) - 1
    return None


def _difference(number: int, row: Row, head: JsonObject, writes: Json) -> str | None:
    if digest(writes) != digest(row.writes):
        return f"super-step {number} wrote {_short(row.writes)}, but now {_short(writes)}"
    if digest(head) != digest(row.head):
        return f"super-step {number} led to {_short(row.head)}, but now to {_short(head)}"
    return None


def _short(value: Json) -> str:
    text = str(value)
    return text if len(text) <= 300 else f"{text[:300]}…"  # noqa: PLR2004
