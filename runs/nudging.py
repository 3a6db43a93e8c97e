"""Nudges that are part of a caller's transaction: written with it, sent after it."""

from __future__ import annotations

from uuid import UUID

from django.db import connection, transaction

from policy.core.json import JsonObject, canonical
from runs import faults, outbox
from runs.admission import admit_after_commit
from runs.ports import Nudge

LOOK = 0


def nudge(tenant_id: UUID, run_id: UUID) -> None:
    """Leave a nudge in the outbox, and send it as soon as the transaction is committed."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT runs_nudge(%s, %s, NULL, '')", [tenant_id, run_id])
        send_after_commit(tenant_id, run_id, cursor.fetchone()[0])


def queue_again(tenant_id: UUID, run_id: UUID) -> None:
    """Let a run that the caller queued go on, now or as the first of its tenant's line."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT runs_requeue(%s, %s)", [tenant_id, run_id])
        _go_on(tenant_id, run_id, cursor.fetchone()[0])


def tell(tenant_id: UUID, run_id: UUID, event: str, data: JsonObject) -> None:
    """Append an event to a run that the caller has locked, without calling upon it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT runs_tell(%s, %s, %s, %s::jsonb)",
            [tenant_id, run_id, event, canonical(data).decode()],
        )


def wake(tenant_id: UUID, run_id: UUID, event: str, data: JsonObject) -> None:
    """Call upon a run because something it may wait for has happened (see `runs_wake`)."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT runs_wake(%s, %s, %s, %s::jsonb)",
            [tenant_id, run_id, event, canonical(data).decode()],
        )
        _go_on(tenant_id, run_id, cursor.fetchone()[0])


def _go_on(tenant_id: UUID, run_id: UUID, sent: int | None) -> None:
    """Send the message that was left; where there is room for those in line, admit them."""
    if sent == LOOK:
        admit_after_commit()
    elif sent is not None:
        send_after_commit(tenant_id, run_id, sent)


def send_after_commit(tenant_id: UUID, run_id: UUID, outbox_id: int) -> None:
    """Send a nudge that was left in the outbox as soon as the caller's transaction is committed."""
    message = Nudge(tenant_id=str(tenant_id), run_id=str(run_id), outbox_id=outbox_id)

    faults.point("nudge.before")

    def leave() -> None:
        faults.point("nudge.committed")
        if outbox.send([message]):
            faults.point("nudge.sent")
            with connection.cursor() as cursor:
                cursor.execute("SELECT runs_sent(%s)", [[outbox_id]])

    transaction.on_commit(leave, robust=True)
