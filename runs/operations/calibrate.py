"""Learn from decided approvals how much a model's confidence is worth, and what is unusual."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.db.models import Q
from uuid_utils.compat import uuid7

from policy import calibration
from policy.audit import record
from policy.calibration import Labelled
from policy.core.actor import Actor
from policy.core.json import JsonObject
from policy.models import Approval, ApprovalKind, ApprovalState, Calibration
from runs.core.effects import EffectKind, EffectState
from runs.models import Effect

MOST_CALLS: Final = 2000
"""Calls of a tool by an agent that are learnt from, the newest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """An agent and a tool that it calls."""

    agent: str
    tool: str


def pairs(*, agent: str = "", tool: str = "") -> list[Pair]:
    """List whose calls of what are on record, by name; of all, or of one agent or tool."""
    rows = Effect.objects.filter(kind=EffectKind.TOOL)
    rows = rows.filter(run__agent_name=agent) if agent else rows
    rows = rows.filter(name=tool) if tool else rows
    found = rows.values_list("run__agent_name", "name").distinct()
    return [Pair(agent=one, tool=name) for one, name in sorted(found)]


def calibrate(pair: Pair, *, bound: float, by: Actor, keep: bool = True) -> JsonObject:
    """Learn from the scope's tenant's calls, store what was learnt, and give what it misses.

    `bound` is the confidence below which calls are to be held. With too few calls nothing is
    stored for them, and the report says so.
    """
    report: dict[str, Any] = {"agent": pair.agent, "tool": pair.tool}
    decided = _decided(pair)
    said = [
        Labelled(id=str(row.pk), value=value, is_right=_is_right(row))
        for row in decided
        if isinstance(value := row.signals.get("said_confidence"), int | float)
    ]
    report["confidence"] = _confidence(pair, said, bound, by if keep else None)
    right, wrong = _calls(pair, decided)
    report["out_of_distribution"] = _unusual(pair, right, wrong, by if keep else None)
    return report


def _decided(pair: Pair) -> list[Approval]:
    rows = Approval.objects.filter(
        agent=pair.agent, tool=pair.tool, kind=ApprovalKind.TOOL_CALL
    ).filter(state__in=[ApprovalState.APPROVED, ApprovalState.REJECTED])
    return list(rows.order_by("-created_at", "-id")[:MOST_CALLS])


def _is_right(row: Approval) -> bool:
    return row.state == ApprovalState.APPROVED and row.proposed is None


def _confidence(pair: Pair, said: Sequence[Labelled], bound: float, by: Actor | None) -> JsonObject:
    if len(said) < calibration.FEWEST:
        return {"labelled": len(said), "needed": calibration.FEWEST}
    steps = calibration.isotonic(said)
    misses = calibration.confidence_misses(said, bound).to_json()
    _keep(pair, "confidence", {"steps": steps}, misses, by)
    return {**misses, "steps": [[round(at, 4), round(share, 4)] for at, share in steps]}


Call = tuple[str, JsonObject]


def _calls(pair: Pair, decided: Sequence[Approval]) -> tuple[list[Call], list[Call]]:
    """Give the calls that were right and those that were wrong: made by themselves, or decided."""
    wrong = [
        (str(row.pk), row.arguments if row.proposed is None else row.proposed)
        for row in decided
        if not _is_right(row)
    ]
    edited = [row.pk for row in decided if row.proposed is not None]
    made = Effect.objects.filter(
        Q(approval_id=None) | ~Q(approval_id__in=edited),
        kind=EffectKind.TOOL,
        name=pair.tool,
        state=EffectState.DONE,
        run__agent_name=pair.agent,
    ).order_by("-claimed_at")[:MOST_CALLS]
    right: list[Call] = [
        (f"{row.run_id}/{row.super_step}/{row.task}/{row.ordinal}", row.request)
        for row in made
        if isinstance(row.request, dict)
    ]
    return right, [(key, call) for key, call in wrong if isinstance(call, dict)]


def _unusual(
    pair: Pair, right: Sequence[Call], wrong: Sequence[Call], by: Actor | None
) -> JsonObject:
    if len(right) < calibration.FEWEST:
        return {"calls": len(right), "needed": calibration.FEWEST}
    profile, bound, found = calibration.unusual_misses(right, wrong)
    misses = found.to_json()
    _keep(pair, "unusual", {"profile": profile, "bound": bound}, misses, by)
    return misses


def _keep(pair: Pair, kind: str, learnt: JsonObject, misses: JsonObject, by: Actor | None) -> None:
    if by is None:
        return
    row = Calibration(
        id=uuid7(),
        agent=pair.agent,
        tool=pair.tool,
        kind=kind,
        learnt=learnt,
        misses=misses,
        created_by=by.name,
    )
    row.save(force_insert=True)
    record(by, "calibration.save", f"calibration/{row.pk}", {"kind": kind, **misses})
