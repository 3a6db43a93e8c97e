"""Runs, agents, and what runs wait for."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol
from uuid import UUID

from django.db.models import Q

from policy import reviews
from policy.core.actor import Actor
from policy.core.provenance import Origin, from_json
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
from policy.queries.approvals import ReviewedApproval
from runs.core.lifecycle import HELD_BACK, Reason, RunState
from runs.errors import UnknownApproval, UnknownBudget, UnknownRun
from runs.models import Agent, AgentVersion, Checkpoint, Effect, Run
from runs.queries import lines
from runs.queries.values import (
    FINAL_STATES,
    AgentVersionView,
    AgentView,
    RunFilter,
    RunRow,
    RunView,
    WaitingOn,
)


def runs(wanted: RunFilter, *, position: Position | None, limit: int) -> Page[RunRow]:
    """List the scope's runs, newest first."""
    rows = Run.objects.select_related("agent_version")
    if wanted.states:
        rows = rows.filter(state__in=wanted.states)
    if wanted.agent:
        rows = rows.filter(agent_name=wanted.agent)
    if wanted.parent is not None:
        rows = rows.filter(parent_id=wanted.parent)
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
    first_kept = row.super_step if row.history_removed_at else 0
    first = Checkpoint.objects.filter(run_id=run_id, super_step=first_kept).first()
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
        history_removed_at=row.history_removed_at,
        origin_run_id=row.origin_run_id,
        compensates_id=row.compensates_id,
        answers_id=row.answers_id,
        origin_super_step=row.origin_super_step,
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


def reviewed(approval_id: UUID, actor: Actor, *, now: datetime) -> ReviewedApproval:
    """Read one approval as one reviewer sees it.

    Raises:
        UnknownApproval: the scope's tenant has no such.
    """
    row = Approval.objects.filter(pk=approval_id).first()
    if row is None:
        raise UnknownApproval(f"there is no approval {approval_id}")
    return reviews.reviewed(row, actor, now=now)


def origins_of(approval: ApprovalView) -> list[dict[str, Any]]:
    """Say where the leaves of an approval's arguments come from, as the ledger keeps it.

    `run` and `super_step` are where a tool gave the value; both are None where none did.
    """
    known = from_json(_facts_of(approval).get("provenance"))
    return [
        {"pointer": leaf, **_origin(origin), **_step_of(origin.place)}
        for leaf, origin in known.origins.items()
    ]


def cost_of(approval: ApprovalView) -> Decimal:
    """Say what the call costs that an approval is about, as it was judged."""
    return Decimal(_facts_of(approval).get("cost") or 0)


def _facts_of(approval: ApprovalView) -> dict[str, Any]:
    rows = Effect.objects.filter(run_id=approval.run_id, approval_id=approval.id)
    decision = rows.values_list("decision", flat=True).first()
    return (decision or {}).get("facts") or {}


def _origin(origin: Origin) -> dict[str, Any]:
    return {
        "label": origin.label.value,
        "trusted": origin.trusted,
        "tainted": origin.tainted,
        "name": origin.name,
        "place": origin.place,
    }


def _step_of(place: str) -> dict[str, Any]:
    run, _, rest = place.partition("/")
    step = rest.partition("/")[0]
    return {"run": run or None, "super_step": int(step) if step.isdigit() else None}


class Question(Protocol):
    """An approval, as a row or as it is shown."""

    @property
    def id(self) -> UUID: ...
    @property
    def run_id(self) -> UUID: ...


def tainted_questions(asked: Iterable[Question]) -> set[UUID]:
    """Name those approvals of which a stranger may have written a part, or nobody knows."""
    runs_of = {one.id: one.run_id for one in asked}
    rows = Effect.objects.filter(run_id__in=set(runs_of.values()), approval_id__in=list(runs_of))
    clean = {
        identity
        for identity, decision in rows.values_list("approval_id", "decision")
        if from_json(((decision or {}).get("facts") or {}).get("provenance")).arguments_clean
    }
    return set(runs_of) - clean


def open_questions(actor: Actor, *, now: datetime) -> list[tuple[ApprovalView, str]]:
    """List what waits for a decision, each with why this reviewer may not decide it, if so.

    The overdue first, then by risk and the time that is left.
    """
    rows = Approval.objects.filter(state=ApprovalState.OPEN).order_by("expires_at", "id")[:500]
    return reviews.for_reviewer(rows, actor, now=now)


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
    states = Run.objects.filter(finished_at=None).values_list("state", flat=True)
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
        "deadline_left": None if (left := row.deadline_left) is None else left.total_seconds(),
        "deadline_stops_for_people": row.deadline_stops,
        "parent_id": row.parent_id,
    }


def _waiting_on(row: Run, budgets: Iterable[BudgetView]) -> Iterable[WaitingOn]:
    if row.queue_at is not None:
        yield WaitingOn(kind="turn", text=_in_front(lines.before(row)))
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
    elif row.reason == Reason.CHILDREN:
        left = Run.objects.filter(parent_id=row.id).exclude(state__in=FINAL_STATES).count()
        yield WaitingOn(kind=row.reason, text=f"{left} of the runs it started")
    else:
        yield WaitingOn(kind=row.reason, until=row.due_at)


def _in_front(count: int) -> str:
    said = f"more than {count}" if count >= lines.COUNTED else str(count)
    return f"its turn: queued, {said} before it"


def failures(*, limit: int) -> list[RunRow]:
    """List the runs that failed last."""
    rows = Run.objects.select_related("agent_version").filter(state=RunState.FAILED)
    return [RunRow(**_row(row)) for row in rows.order_by("-finished_at")[:limit]]


def runs_on_show(*, limit: int) -> list[RunRow]:
    """List the newest runs."""
    return list(runs(RunFilter(), position=None, limit=limit).items)
