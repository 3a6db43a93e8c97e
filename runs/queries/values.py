"""What is read of runs, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

from policy.core.json import Json, JsonObject
from policy.queries import BudgetView
from runs.core.lifecycle import FINAL

FINAL_STATES: Final = frozenset(state.value for state in FINAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """A run as lists show it; `deadline_left` is in seconds, while its clock stands still."""

    id: UUID
    agent: str
    version: str
    state: str
    reason: str
    super_step: int
    started_by: str
    metadata: JsonObject
    error_class: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    deadline: datetime | None
    deadline_left: float | None
    deadline_stops_for_people: bool
    parent_id: UUID | None

    @property
    def is_final(self) -> bool:
        """Say whether it never moves again."""
        return self.state in FINAL_STATES


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingOn:
    """The named thing that a run waits for, with the id to look it up by, if it has one."""

    kind: str
    id: UUID | None = None
    text: str = ""
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView(RunRow):
    """Everything there is to say of a run itself."""

    input: Json
    output: Json
    error_detail: str
    waiting_on: tuple[WaitingOn, ...]
    budgets: tuple[BudgetView, ...]
    cancel_requested_at: datetime | None
    crashes: int
    worker: str
    history_removed_at: datetime | None
    origin_run_id: UUID | None
    compensates_id: UUID | None
    answers_id: UUID | None
    origin_super_step: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectView:
    """One entry of the effect ledger."""

    key: str
    super_step: int
    task: str
    ordinal: int
    kind: str
    name: str
    version: str
    effect: str
    digest: str
    state: str
    attempt: int
    request: Json
    outcome: Json
    error_class: str
    decision: JsonObject
    approval_id: UUID | None
    cost: Decimal
    input_tokens: int
    output_tokens: int
    price_version: str
    claimed_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskView:
    """One task of a super-step."""

    id: str
    node: str
    state: str
    crashes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StepView:
    """One super-step: what it ran, what it asked the world, what it wrote."""

    super_step: int
    state: str
    tasks: tuple[TaskView, ...]
    effects: tuple[str, ...]
    cost: Decimal
    tokens: int
    wrote: tuple[str, ...]
    began_at: datetime
    committed_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventView:
    """One thing that happened to a run."""

    seq: int
    type: str
    data: Json
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointView:
    """A checkpoint as it is stored: its head, and what its super-step wrote."""

    super_step: int
    head: JsonObject
    writes: JsonObject
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentView:
    """An agent and its versions, the newest first."""

    id: UUID
    name: str
    created_at: datetime
    versions: tuple[AgentVersionView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentVersionView:
    """One version of an agent."""

    version: str
    kind: str
    definition: JsonObject
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFilter:
    """Which runs a list shows."""

    states: frozenset[str] = frozenset()
    agent: str = ""
    parent: UUID | None = None
    metadata: tuple[tuple[str, str], ...] = ()
