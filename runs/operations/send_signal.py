"""Tell a run something by name: what a task of it waits for, or will."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from uuid_utils.compat import uuid7

from policy.audit import record
from policy.core.actor import Actor
from policy.core.json import Json, storable
from runs.core.lifecycle import FINAL
from runs.errors import IllegalMove, SignalRefused, UnknownRun
from runs.models import Run, Signal
from runs.nudging import wake

MOST_WAITING: Final = 1000
"""Signals of a run that nobody has taken yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SendSignal:
    """A signal. Without an `id` of the sender's own, each one is a new one."""

    run_id: UUID
    name: str
    payload: Json = None
    id: str = ""


def send_signal(command: SendSignal, *, by: Actor, now: datetime) -> str:
    """Keep a signal for its run, and call upon the run. Gives the signal's id.

    The same signal again changes nothing. A signal that comes before anybody waits is kept.

    Raises:
        UnknownRun: this tenant has no such run.
        IllegalMove: the run has ended.
        SignalRefused: its id belongs to another signal, or too many wait to be taken.
    """
    run = Run.objects.select_for_update(no_key=True).filter(pk=command.run_id).first()
    if run is None:
        raise UnknownRun(f"there is no run {command.run_id}")
    payload, name = storable(command.payload), storable(command.name)
    known = Signal.objects.filter(run_id=run.id, id=command.id).first() if command.id else None
    if known is not None:
        if (known.name, known.payload) != (name, payload):
            raise SignalRefused(f"{command.id!r} was another signal before; give it a new id")
        return known.id
    if run.state in FINAL:
        raise IllegalMove(run.state, "signalled")
    if Signal.objects.filter(run_id=run.id, taken_by="").count() >= MOST_WAITING:
        raise SignalRefused(f"{MOST_WAITING} signals wait for this run to take them; send later")
    signal = Signal(
        tenant_id=run.tenant_id,
        run_id=run.id,
        id=command.id or str(uuid7()),
        name=name,
        payload=payload,
        sent_by=by.name,
        received_at=now,
    )
    signal.save(force_insert=True)
    record(by, "run.signalled", f"run/{run.id}", {"signal": signal.id, "name": name})
    wake(run.tenant_id, run.id, "signal.received", {"signal": signal.id, "name": name})
    return signal.id
