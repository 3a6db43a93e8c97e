"""Approve several questions of one kind: each its own decision, bound to what was shown of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db import transaction

from policy.core.actor import Actor
from policy.core.rules.approvals import terms_from_json
from policy.errors import ApprovalChanged, ApprovalNotOpen, InvalidDecision, PolicyError
from policy.models import Approval, ApprovalKind
from policy.queries import ApprovalView
from runs import queries
from runs.errors import RunsError, UnknownApproval
from runs.operations.decide import Decide, decide_approval

MOST: Final = 20
SMALL: Final = ("low", "medium")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A question as somebody saw it."""

    approval_id: UUID
    digest: str
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What became of one of them: approved, decided before, changed, or refused, and why."""

    approval_id: UUID
    outcome: str
    detail: str = ""


def approve_many(
    shown: Sequence[Shown], *, by: Actor, now: datetime, reason: str = ""
) -> list[Decided]:
    """Approve each of them that still is as shown; one that is not keeps none of the others.

    All are about the same tool, agent and rule. Those that ask for more than one look are refused,
    each for itself: a risk above medium, several who must approve, a value that a stranger may
    have written.

    Raises:
        InvalidDecision: none, too many, one twice, or not of one kind; nothing was decided.
        UnknownApproval: this tenant has none of that id; nothing was decided.
    """
    ids = [one.approval_id for one in shown]
    if not 1 <= len(ids) <= MOST or len(set(ids)) < len(ids):
        raise InvalidDecision(f"choose 1 to {MOST} approvals, each once")
    rows = {row.pk: row for row in Approval.objects.filter(pk__in=ids)}
    if missing := [identity for identity in ids if identity not in rows]:
        raise UnknownApproval(f"there is no approval {missing[0]}")
    if len({(row.tool, row.agent, row.rule, row.kind) for row in rows.values()}) > 1:
        raise InvalidDecision("approve together only what is of one tool, agent and rule")
    tainted = queries.tainted_questions(rows.values())
    # In the order of their runs, so that two who do this at once do not wait for each other.
    ordered = sorted(shown, key=lambda one: (rows[one.approval_id].run_id, one.approval_id))
    done: dict[UUID, Decided] = {}
    for one in ordered:
        row = rows[one.approval_id]
        why = why_not_together(row, is_tainted=row.pk in tainted)
        done[row.pk] = (
            Decided(approval_id=row.pk, outcome="refused", detail=why)
            if why
            else _approve(one, by, now, reason)
        )
    return [done[identity] for identity in ids]


def why_not_together(row: Approval | ApprovalView, *, is_tainted: bool) -> str:
    """Say why a question is not approved among others; empty where it may be."""
    if row.kind != ApprovalKind.TOOL_CALL:
        return "this is no call that waits; open it"
    if row.risk not in SMALL:
        return f"its risk is {row.risk or 'unknown'}; open it"
    if terms_from_json(row.terms).needed > 1:
        return "several people must approve it; open it"
    if is_tainted:
        return "a stranger may have written what it holds; open it"
    return ""


def _approve(one: Shown, by: Actor, now: datetime, reason: str) -> Decided:
    identity = one.approval_id
    command = Decide(
        approval_id=identity,
        decision="approve",
        digest=one.digest,
        version=one.version,
        reason=reason,
    )
    try:
        with transaction.atomic():
            decide_approval(command, by=by, now=now)
    except ApprovalNotOpen as error:
        return Decided(approval_id=identity, outcome="decided_before", detail=str(error))
    except ApprovalChanged as error:
        return Decided(approval_id=identity, outcome="changed", detail=str(error))
    except (PolicyError, RunsError) as error:
        return Decided(approval_id=identity, outcome="refused", detail=str(error))
    return Decided(approval_id=identity, outcome="approved")
