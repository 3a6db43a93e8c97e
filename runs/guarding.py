"""A run that seems to lead nowhere, and whose agent wants a person asked whether it goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from policy.core.json import digest
from runs.core.effects import EffectKind, EffectState, Place, Recorded
from runs.core.guards import TASK
from runs.core.lifecycle import Reason, RunState
from runs.core.plan import Stop
from runs.errors import LeaseLost
from runs.ports import Claimed, Put, PutEffect, Question, Save, Settled, Store

NAME: Final = "loop guard"
SECONDS_TO_DECIDE: Final = 7 * 24 * 3600.0
"""How long a person has; nobody's answer is a no."""


def asked(claimed: Claimed) -> Recorded | None:
    """Find the question in the ledger of the present super-step."""
    return next((row for row in claimed.ledger if row.place.task == TASK), None)


def leave(claimed: Claimed) -> bool:
    """Say whether a person let the run go on from here."""
    row = asked(claimed)
    return row is not None and row.approval == "approved"


def answered(claimed: Claimed) -> list[Settled]:
    """Settle the question that was answered, with the super-step that it let begin."""
    row = asked(claimed)
    if row is None or row.state is not EffectState.HELD or row.approval != "approved":
        return []
    return [Settled(place=row.place, state=EffectState.DONE, outcome={"value": "go on"})]


def refusal(row: Recorded) -> str:
    """Say who stopped the run."""
    if row.approval == "rejected":
        return f"stopped by {row.approval_by}: {row.approval_reason}"
    return "nobody said in time that it goes on"


def ask(store: Store, claimed: Claimed, stop: Stop, mint: Callable[[], str]) -> None:
    """Write the question down and ask a person.

    Raises:
        LeaseLost: somebody else holds the run; nothing was written.
    """
    place = Place(claimed.lease.super_step, TASK, 0)
    named = digest(NAME, claimed.lease.run_id, place.super_step, stop.detail)
    wish = PutEffect(
        place=place,
        kind=EffectKind.GUARD,
        name=NAME,
        version="",
        effect="read",
        digest=named,
        request={"why": stop.detail},
        state=EffectState.HELD,
        question=Question(
            id=mint(),
            kind="guard",
            digest=named,
            policy_version=claimed.policy_version_id or "",
            rule="",
            reason=f"Shall it go on? {stop.detail}",
            seconds=SECONDS_TO_DECIDE,
        ),
    )
    if store.put_effect(claimed.lease, wish, ()) is Put.LEASE_LOST:
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
