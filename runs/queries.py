"""Reads of runs, as frozen values. Each asks a bounded number of queries in an open scope."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from django.db.models import Q

from policy.core.json import Json, JsonObject
from policy.models import Approval, ApprovalState
from policy.queries import (
    ApprovalView,
    BudgetView,
    Page,
    Position,
    approval,
    budget,
    budgets_of,
    page_of,
)
from runs.core.lifecycle import FINAL, HELD_BACK, Reason, RunState
from runs.errors import UnknownApproval, UnknownBudget, UnknownRun
from runs.models import Agent, AgentVersion, Checkpoint, Effect, Run, RunEvent, Task

FINAL_STATES: Final = frozenset(state.value for state in FINAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """A run as lists show it."""

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
    metadata: tuple[tuple[str, str], ...] = ()


def runs(wanted: RunFilter, *, position: Position | None, limit: int) -> Page[RunRow]:
    """List the scope's runs, newest first."""
    rows = Run.objects.select_related("agent_version")
    if wanted.states:
        rows = rows.filter(state__in=wanted.states)
    if wanted.agent:
        rows = rows.filter(agent_name=wanted.agent)
    for name, text in wanted.metadata:
        rows = rows.filter(_says(name, text))
    return page_of(rows, lambda row: RunRow(**_row(row)), position=position, limit=limit)


def run(run_id: UUID) -> RunView:
    """Read one run.

    Raises:
        UnknownRun: the scope's tenant has no such run.
    """
    row = Run.objects.select_related("agent_version").filter(pk=run_id).first()
    if row is None:
        raise UnknownRun(f"there is no run {run_id}")
    first = Checkpoint.objects.filter(run_id=run_id, super_step=0).first()
    budgets = tuple(budgets_of(row.budget_ids))
    return RunView(
        **_row(row),
        input=None if first is None else first.writes.get("input"),
        output=row.output,
        error_detail=row.error_detail,
        waiting_on=tuple(_waiting_on(row, budgets)),
        budgets=budgets,
        cancel_requested_at=row.cancel_requested_at,
        crashes=row.crashes,
        worker=row.worker or "",
    )


def state_of(run_id: UUID) -> str:
    """Read only the state of a run.

    Raises:
        UnknownRun: the scope's tenant has no such run.
    """
    state = Run.objects.filter(pk=run_id).values_list("state", flat=True).first()
    if state is None:
        raise UnknownRun(f"there is no run {run_id}")
    return state


def comes_to_rest(state: str) -> bool:
    """Say whether nothing more happens by itself, so that there is no use in waiting."""
    return state in FINAL_STATES or state in {RunState.INTERRUPTED, RunState.PAUSED}


def steps(run_id: UUID, *, after: int = -1, limit: int) -> list[StepView]:
    """List the super-steps of a run after one, in order: committed ones, and the open one.

    A super-step begins with the checkpoint of its number and commits the next one.
    """
    row = _known(run_id)
    found = Checkpoint.objects.filter(
        run_id=run_id, super_step__gt=after, super_step__lte=after + limit + 1
    ).order_by("super_step")
    marks = list(found)
    numbers = [mark.super_step for mark in marks[:limit]]
    effects = list(_effects(run_id).filter(super_step__in=numbers))
    tasks = list(Task.objects.filter(run_id=run_id, super_step__in=numbers))
    views = []
    for index, mark in enumerate(marks[:limit]):
        following = marks[index + 1] if index + 1 < len(marks) else None
        if following is None and not mark.head.get("tasks"):
            continue
        views.append(_step(row, mark, following, effects, tasks))
    return views


def effects(run_id: UUID, *, after: tuple[int, str, int] | None, limit: int) -> list[EffectView]:
    """List the ledger of a run in the order of its places, after one of them."""
    _known(run_id)
    rows = _effects(run_id)
    if after is not None:
        step, task, ordinal = after
        same_task = Q(super_step=step, task=task, ordinal__gt=ordinal)
        rows = rows.filter(Q(super_step__gt=step) | Q(super_step=step, task__gt=task) | same_task)
    return [_effect(row) for row in rows[:limit]]


def events(run_id: UUID, *, after: int = 0, limit: int) -> list[EventView]:
    """List what happened to a run after a number of its sequence."""
    _known(run_id)
    rows = RunEvent.objects.filter(run_id=run_id, seq__gt=after).order_by("seq")[:limit]
    return [EventView(seq=row.seq, type=row.type, data=row.data, at=row.at) for row in rows]


def last_events(run_id: UUID, *, limit: int) -> list[EventView]:
    """List the newest events of a run, the newest first."""
    rows = RunEvent.objects.filter(run_id=run_id).order_by("-seq")[:limit]
    return [EventView(seq=row.seq, type=row.type, data=row.data, at=row.at) for row in rows]


def checkpoints(run_id: UUID, *, after: int = -1, limit: int) -> list[CheckpointView]:
    """List the checkpoints of a run after one, as they are stored."""
    _known(run_id)
    rows = Checkpoint.objects.filter(run_id=run_id, super_step__gt=after)
    return [
        CheckpointView(super_step=row.super_step, head=row.head, writes=row.writes, at=row.at)
        for row in rows.order_by("super_step")[:limit]
    ]


def agents(*, limit: int = 1000) -> list[AgentView]:
    """List the scope's agents by name, each with its versions."""
    versions: dict[UUID, list[AgentVersionView]] = {}
    for row in AgentVersion.objects.order_by("-created_at", "-id"):
        versions.setdefault(row.agent_id, []).append(
            AgentVersionView(
                version=row.version,
                kind=row.kind,
                definition=row.definition,
                created_at=row.created_at,
            )
        )
    return [
        AgentView(
            id=row.id,
            name=row.name,
            created_at=row.created_at,
            versions=tuple(versions.get(row.id, [])),
        )
        for row in Agent.objects.order_by("name")[:limit]
    ]


def known_approval(approval_id: UUID) -> ApprovalView:
    """Read one approval.

    Raises:
        UnknownApproval: the scope's tenant has no such.
    """
    found = approval(approval_id)
    if found is None:
        raise UnknownApproval(f"there is no approval {approval_id}")
    return found


def known_budget(budget_id: UUID) -> BudgetView:
    """Read one budget.

    Raises:
        UnknownBudget: the scope's tenant has no such.
    """
    found = budget(budget_id)
    if found is None:
        raise UnknownBudget(f"there is no budget {budget_id}")
    return found


def counts_by_state() -> dict[str, int]:
    """Count the scope's runs that are not ended, by state."""
    counts: dict[str, int] = {}
    states = Run.objects.exclude(state__in=FINAL_STATES).values_list("state", flat=True)
    for state in states:
        counts[state] = counts.get(state, 0) + 1
    return counts


def _says(name: str, text: str) -> Q:
    """Match the text itself, and the number, truth value or null that it spells."""
    as_text = Q(metadata__contains={name: text})
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return as_text
    plain = value is None or isinstance(value, bool | int | float)
    return as_text | Q(metadata__contains={name: value}) if plain else as_text


def _known(run_id: UUID) -> Run:
    row = Run.objects.filter(pk=run_id).only("id", "state", "super_step").first()
    if row is None:
        raise UnknownRun(f"there is no run {run_id}")
    return row


def _row(row: Run) -> dict[str, Any]:
    return {
        "id": row.id,
        "agent": row.agent_name,
        "version": row.agent_version.version,
        "state": row.state,
        "reason": row.reason,
        "super_step": row.super_step,
        "started_by": row.started_by,
        "metadata": row.metadata,
        "error_class": row.error_class,
        "created_at": row.created_at,
        "started_at": row.started_at,
        "finished_at": row.finished_at,
        "deadline": row.deadline_at,
    }


def _waiting_on(row: Run, budgets: Iterable[BudgetView]) -> Iterable[WaitingOn]:
    if row.state not in HELD_BACK:
        return
    if row.reason in {Reason.APPROVAL, Reason.OUTCOME_UNKNOWN}:
        for asked in Approval.objects.filter(run_id=row.id, state=ApprovalState.OPEN):
            yield WaitingOn(
                kind=asked.kind,
                id=asked.id,
                text=asked.tool,
                since=asked.created_at,
                until=asked.expires_at,
            )
    elif row.reason == Reason.BUDGET:
        for held in budgets:
            yield WaitingOn(kind="budget", id=held.id, text=f"the budget of the {held.scope}")
    else:
        yield WaitingOn(kind=row.reason, until=row.due_at)


def _effects(run_id: UUID) -> Any:
    return Effect.objects.filter(run_id=run_id).order_by("super_step", "task", "ordinal")


def _step(
    row: Run,
    mark: Checkpoint,
    following: Checkpoint | None,
    effects: Iterable[Effect],
    tasks: Iterable[Task],
) -> StepView:
    ours = [effect for effect in effects if effect.super_step == mark.super_step]
    held = {task.task: task for task in tasks if task.super_step == mark.super_step}
    state = "committed" if following is not None else "open"
    if following is None and row.state in FINAL_STATES:
        state = row.state
    return StepView(
        super_step=mark.super_step,
        state=state,
        tasks=tuple(_task(spec, held, state) for spec in mark.head.get("tasks", [])),
        effects=tuple(f"{effect.kind} {effect.name}" for effect in ours),
        cost=sum((effect.cost for effect in ours), Decimal(0)),
        tokens=sum(effect.input_tokens + effect.output_tokens for effect in ours),
        wrote=() if following is None else tuple(sorted(following.writes)),
        began_at=mark.at,
        committed_at=None if following is None else following.at,
    )


def _task(spec: list[Any], held: Mapping[str, Task], state: str) -> TaskView:
    task_id, node = spec[0], spec[1]
    row = held.get(task_id)
    settled = "settled" if state == "committed" else "pending"
    return TaskView(
        id=task_id,
        node=node,
        state=settled if row is None else row.state,
        crashes=0 if row is None else row.crashes,
    )


def _effect(row: Effect) -> EffectView:
    plain = (
        "super_step",
        "task",
        "ordinal",
        "kind",
        "name",
        "version",
        "effect",
        "digest",
        "state",
        "attempt",
        "request",
        "outcome",
        "error_class",
        "decision",
        "approval_id",
        "cost",
        "input_tokens",
        "output_tokens",
        "price_version",
        "claimed_at",
        "finished_at",
    )
    values = {name: getattr(row, name) for name in plain}
    key = f"{row.run_id}/{row.super_step}/{row.task}/{row.ordinal}"
    return EffectView(key=key, **values)


def failures(*, limit: int) -> list[RunRow]:
    """List the runs that failed last."""
    rows = Run.objects.select_related("agent_version").filter(state=RunState.FAILED)
    return [RunRow(**_row(row)) for row in rows.order_by("-finished_at")[:limit]]


def runs_on_show(*, limit: int) -> list[RunRow]:
    """List the newest runs."""
    return list(runs(RunFilter(), position=None, limit=limit).items)
