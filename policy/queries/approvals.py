"""Reads of approvals: the queue, one question, what was done to it."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, replace
from datetime import datetime
from statistics import median
from typing import Final, TypeVar
from uuid import UUID

from policy.core.json import Json, JsonObject
from policy.core.rules.approvals import ApprovalTerms, terms_from_json
from policy.models import (
    Approval,
    ApprovalDecision,
    ApprovalKind,
    ApprovalState,
    DecisionAction,
)
from policy.queries.masking import MASK, kinds_only, masked
from policy.queries.pages import Page, Position, page_of

BRIEF: Final = 40
HASTY: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalView:
    """A question to a person, as it stands."""

    id: UUID
    kind: str
    state: str
    version: int
    run_id: UUID
    effect_key: str
    agent: str
    tool: str
    tool_version: str
    arguments: Json
    digest: str
    policy_version: str
    rule: str
    reason: str
    created_at: datetime
    expires_at: datetime
    decided_at: datetime | None
    decided_by: str
    decision_reason: str
    result: Json
    risk: str
    started_by: str
    terms: JsonObject
    groups: list[str]
    owners: list[str]
    rung: int
    next_at: datetime | None
    escalated_at: datetime | None
    extended: bool
    triggers: list[JsonObject]
    signals: JsonObject
    claimed_by: str
    claimed_name: str
    claimed_until: datetime | None
    deferred_until: datetime | None
    edited_by: str
    proposed: Json
    corrections: JsonObject
    delegate_run_id: UUID | None

    @property
    def asked(self) -> ApprovalTerms:
        """Give the terms under which it was asked."""
        return terms_from_json(self.terms)

    @property
    def is_open(self) -> bool:
        """Say whether nobody decided yet."""
        return self.state == ApprovalState.OPEN

    @property
    def summary(self) -> str:
        """Give the call in one line, as far as a line goes."""
        arguments = self.arguments if isinstance(self.arguments, dict) else {}
        parts = ", ".join(f"{name}: {_brief(value)}" for name, value in arguments.items())
        return f"{self.tool} ({parts})"[:200] if parts else self.tool


def _brief(value: Json) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= BRIEF else f"{text[: BRIEF - 1]}…"


def approvals(
    *, state: str = "", run_id: UUID | None = None, position: Position | None, limit: int
) -> Page[ApprovalView]:
    """List the scope's approvals, newest first."""
    rows = Approval.objects.all()
    if state:
        rows = rows.filter(state=state)
    if run_id is not None:
        rows = rows.filter(run_id=run_id)
    return page_of(rows, approval_view, position=position, limit=limit)


def approval(approval_id: UUID) -> ApprovalView | None:
    """Read one approval of the scope's tenant; None where it has no such."""
    row = Approval.objects.filter(pk=approval_id).first()
    return None if row is None else approval_view(row)


def approval_view(row: Approval) -> ApprovalView:
    """Read a row."""
    return ApprovalView(**{f.name: getattr(row, f.name) for f in fields(ApprovalView)})


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionView:
    """One thing that somebody did to an approval."""

    id: UUID
    action: str
    at: datetime
    by: str
    name: str
    reason: str
    digest: str
    version: int
    is_final: bool
    detail: JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewedApproval(ApprovalView):
    """An approval before one reviewer: what was done to it, and whether they may decide."""

    approved_by: tuple[str, ...]
    why_not: str
    why_not_approve: str
    decisions: tuple[DecisionView, ...]


View = TypeVar("View", bound=ApprovalView)


def masked_approval(view: View) -> View:
    """Give an approval without what its call holds and what was measured of it."""
    hidden = replace(
        view,
        arguments=_arguments(view),
        reason=MASK if view.reason else "",
        proposed=masked(view.proposed),
        corrections=dict.fromkeys(view.corrections, MASK),
        result=masked(view.result),
        signals={},
        triggers=[{**trigger, "detail": MASK} for trigger in view.triggers],
    )
    if isinstance(hidden, ReviewedApproval):
        hidden = replace(hidden, decisions=tuple(map(masked_decision, hidden.decisions)))
    return hidden


def _arguments(view: ApprovalView) -> Json:
    """Keep the names of a call's arguments; of a run's answer what kinds were found in it."""
    if view.kind != ApprovalKind.ANSWER or not isinstance(view.arguments, dict):
        return masked(view.arguments)
    return {
        name: kinds_only(part) if name == "found" else masked(part)
        for name, part in view.arguments.items()
    }


def masked_decision(view: DecisionView) -> DecisionView:
    """Give what somebody did without the values that they gave."""
    return replace(view, detail={name: masked(part) for name, part in view.detail.items()})


def decisions_of(approval_id: UUID) -> list[DecisionView]:
    """List what was done to an approval, oldest first."""
    names = [f.name for f in fields(DecisionView)]
    rows = ApprovalDecision.objects.filter(approval_id=approval_id).order_by("at", "id")
    return [DecisionView(**{name: getattr(row, name) for name in names}) for row in rows]


def decided_like(agent: str, tool: str, *, limit: int = 200) -> list[ApprovalView]:
    """List decided questions about one agent's calls of one tool, the newest decision first."""
    rows = Approval.objects.filter(tool=tool, agent=agent, kind=ApprovalKind.TOOL_CALL)
    rows = rows.exclude(state__in=[ApprovalState.OPEN, ApprovalState.WITHDRAWN])
    return [approval_view(row) for row in rows.order_by("-decided_at")[:limit]]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueFigures:
    """How the queue stands, in seconds and counts."""

    waiting: int
    median_wait: float | None
    oldest: float | None
    decided_today: int
    hasty: float | None


def queue_figures(identity: str, *, now: datetime) -> QueueFigures:
    """Count what waits, and how somebody decided since midnight UTC.

    `hasty` is the share of their approvals within 5 seconds after asking; None without any.
    """
    waits = [
        (now - at).total_seconds()
        for at in Approval.objects.filter(state=ApprovalState.OPEN).values_list(
            "created_at", flat=True
        )
    ]
    since = now.replace(hour=0, minute=0, second=0, microsecond=0)
    done = ApprovalDecision.objects.filter(by=identity, is_final=True, at__gte=since)
    moments = done.values_list("action", "at", "approval__created_at")
    quick = [
        (at - asked).total_seconds() < HASTY
        for action, at, asked in moments
        if action == DecisionAction.APPROVE
    ]
    return QueueFigures(
        waiting=len(waits),
        median_wait=median(waits) if waits else None,
        oldest=max(waits, default=None),
        decided_today=len(moments),
        hasty=sum(quick) / len(quick) if quick else None,
    )
