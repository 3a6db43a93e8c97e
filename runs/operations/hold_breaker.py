"""Hold a breaker open or closed, or let it decide for itself again."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from uuid_utils.compat import uuid7

from policy.audit import record
from policy.core.actor import Actor
from policy.errors import InvalidSwitch
from policy.models import BreakerSwitch
from runs.core.lifecycle import Reason, RunState
from runs.models import Run
from runs.nudging import wake

Position = Literal["open", "closed", "auto"]


def hold_breaker(
    dependency: str, position: Position, *, reason: str, by: Actor, now: datetime
) -> None:
    """Hold a dependency's breaker; workers follow within two seconds.

    Held open, nothing is sent to it and the runs that need it wait. Closed or let go, the runs
    that wait for any breaker are called upon at once.

    Raises:
        InvalidSwitch: no reason is given; nothing was changed.
    """
    if not reason.strip():
        raise InvalidSwitch("say why: it stands in the audit log and beside the breaker")
    BreakerSwitch.objects.filter(dependency=dependency).delete()
    if position != "auto":
        BreakerSwitch.objects.create(
            id=uuid7(),
            dependency=dependency,
            position=position,
            reason=reason.strip()[:500],
            switched_by=by.name,
            switched_at=now,
        )
    facts = {"position": position, "reason": reason.strip()[:500]}
    record(by, "breaker.held", f"breaker/{dependency}", facts)
    if position != "open":
        _call_upon_waiting(dependency, position)


def _call_upon_waiting(dependency: str, position: str) -> None:
    waiting = (
        Run.objects.select_for_update(no_key=True)
        .filter(state=RunState.WAITING, reason=Reason.BREAKER, finished_at=None)
        .order_by("id")
    )
    for run in waiting:
        facts = {"dependency": dependency, "position": position}
        wake(run.tenant_id, run.id, "breaker.held", facts)
