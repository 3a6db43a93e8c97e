"""Questions of the engine itself: whether a run goes on, and whether its answer may leave.

A run is asked about that seems to lead nowhere, where its agent wants that; an answer in which
something was found, where its tenant wants that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from policy.core.json import JsonObject, digest
from policy.core.rules.approvals import ApprovalTerms
from runs.core.effects import EffectKind, EffectState, Place, Recorded
from runs.core.guards import TASK
from runs.core.lifecycle import Reason, RunState
from runs.core.plan import Stop
from runs.errors import LeaseLost
from runs.ports import Claimed, Put, PutEffect, Question, Save, Settled, Store

NAME: Final = "loop guard"
ANSWER: Final = "answer check"
"""The place of the question whether an answer may leave, and what asks it."""
WITHIN_A_WEEK: Final = ApprovalTerms(expires_after=timedelta(days=7))
"""Every reviewer may decide whether a run goes on; nobody's answer is a no."""


def asked(claimed: Claimed, task: str = TASK) -> Recorded | None:
    """Find the question in the ledger of the present super-step."""
    return next((row for row in claimed.ledger if row.place.task == task), None)


def leave(claimed: Claimed) -> bool:
    """Say whether a person let the run go on from here."""
    row = asked(claimed)
    return row is not None and row.approval == "approved"


def answered(claimed: Claimed) -> list[Settled]:
    """Settle the questions that were answered, with the super-step that they let go on."""
    rows = [row for task in (TASK, ANSWER) if (row := asked(claimed, task)) is not None]
    return [
        Settled(place=row.place, state=EffectState.DONE, outcome={"value": "go on"})
        for row in rows
        if row.state is EffectState.HELD and row.approval in {"approved", "responded"}
    ]


def refusal(row: Recorded, may: str = "goes on") -> str:
    """Say who stopped the run."""
    if row.approval == "rejected":
        return f"stopped by {row.approval_by}: {row.approval_reason}"
    return f"nobody said in time that it {may}"


def ask(store: Store, claimed: Claimed, stop: Stop, mint: Callable[[], str]) -> None:
    """Ask a person whether a run goes on; raises as `put`."""
    why = f"Shall it go on? {stop.detail}"
    named = digest(NAME, claimed.lease.run_id, claimed.lease.super_step, stop.detail)
    asks = Asks(TASK, NAME, "guard", named, {"why": stop.detail}, why)
    put(store, claimed, asks, mint, before=())


@dataclass(frozen=True, slots=True)
class Asks:
    """A question of the engine itself, at a place of its own in the super-step."""

    task: str
    name: str
    kind: str
    digest: str
    request: JsonObject
    reason: str
    terms: ApprovalTerms = WITHIN_A_WEEK


def put(
    store: Store,
    claimed: Claimed,
    asks: Asks,
    mint: Callable[[], str],
    *,
    before: Sequence[Settled],
) -> None:
    """Write the question down and ask a person, in one commit with what it is asked about.

    Raises:
        LeaseLost: somebody else holds the run; nothing was written.
    """
    wish = PutEffect(
        place=Place(claimed.lease.super_step, asks.task, 0),
        kind=EffectKind.GUARD,
        name=asks.name,
        version="",
        effect="read",
        digest=asks.digest,
        request=asks.request,
        state=EffectState.HELD,
        question=Question(
            id=mint(),
            kind=asks.kind,
            digest=asks.digest,
            policy_version=claimed.policy_version_id or "",
            rule="",
            reason=asks.reason,
            seconds=asks.terms.expires_after.total_seconds(),
            terms=asks.terms,
        ),
    )
    if store.put_effect(claimed.lease, wish, before) is Put.LEASE_LOST:
        raise LeaseLost(claimed.lease.run_id, claimed.lease.token)


def waiting(claimed: Claimed, stop: Stop) -> Save:
    """Set the run aside until somebody decides."""
    return Save(
        state=RunState.INTERRUPTED,
        wakeups=claimed.wakeups,
        reason=Reason.APPROVAL,
        events=[
            (f"run.{RunState.INTERRUPTED}", {"reason": Reason.APPROVAL, "detail": stop.detail})
        ],
    )
