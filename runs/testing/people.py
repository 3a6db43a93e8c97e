"""What people and the sweeper do to runs in memory: the twins of `runs.operations`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final

from policy.core import periods
from policy.core.json import Json, JsonObject
from policy.core.money import Extra, Unit
from policy.core.outcomes import ErrorClass
from policy.errors import InvalidDecision
from runs.core.checkpoint import decode, encode
from runs.core.lifecycle import FINAL, HELD_BACK, Reason, RunState
from runs.core.recorded.travel import rewound
from runs.errors import IllegalMove, SignalRefused
from runs.testing import admission, children, clocks, ledger, reviewing
from runs.testing.rows import ApprovalRow, CheckpointRow, RunRow, SignalRow, stored
from runs.testing.store import MemoryStore

PARKED: Final = frozenset({Reason.POISON, Reason.VERSION})
ENDABLE: Final = HELD_BACK | {RunState.QUEUED}


def wake(store: MemoryStore, run: RunRow, event: str, data: JsonObject) -> None:
    """Call upon a run: something it may wait for has happened."""
    with store.lock:
        if run.state in FINAL or run.reason in PARKED:
            return
        run.wakeups += 1
        run.emit(event, data)
        if run.state in HELD_BACK:
            run.state, run.reason, run.due_at = RunState.QUEUED, Reason.NONE, None
            admission.requeue(store, run)
        elif run.state is RunState.QUEUED and run.queue_at is None:
            store.outbox.leave(run)


def stop(
    store: MemoryStore, run: RunRow, state: RunState, *, error_class: ErrorClass, detail: str
) -> bool:
    """End a run that nobody holds; False where it is held or has ended."""
    with store.lock:
        if run.state not in ENDABLE:
            return False
        run.state, run.reason, run.due_at, run.queue_at = state, Reason.NONE, None, None
        run.error_class, run.error_detail = error_class, detail
        clocks.start(store, run)
        ledger.close(store, run)
        run.emit(f"run.{state}", {"detail": detail})
        children.tell_family(store, run)
        return True


def cancel(store: MemoryStore, run: RunRow, reason: str) -> None:
    """Cancel a run, or ask whoever holds it to end it at the next boundary.

    Raises:
        IllegalMove: it has ended.
    """
    with store.lock:
        if run.state in FINAL:
            raise IllegalMove(run.state, "cancelled")
        state, why = RunState.CANCELLED, ErrorClass.CANCELLATION
        if not stop(store, run, state, error_class=why, detail=reason):
            run.cancel = True
            store.outbox.leave(run)


def decide(  # noqa: PLR0913 - what a person's form holds, read by keyword
    store: MemoryStore,
    approval: ApprovalRow,
    decision: str,
    *,
    reason: str,
    result: Json,
    by: str,
    state: JsonObject | None = None,
) -> None:
    """Decide an approval once, and wake the run that waits; raises as `reviewing.decide`."""
    if state and approval.kind == "answer":
        raise InvalidDecision("the run is done: give another answer, or refuse this one")
    with store.lock:
        told = reviewing.decide(
            approval, decision, reason=reason, result=result, by=by, now=store.clock()
        )
        if told is not None and state:
            approval.corrections = stored(state)
            facts = {"approval": approval.id, "channels": sorted(state), "by": by}
            store.runs[approval.run_id].emit("run.corrected", facts)
        if told is not None:
            wake(store, store.runs[approval.run_id], "approval.decided", told)


def edit(store: MemoryStore, approval: ApprovalRow, arguments: JsonObject, *, by: str) -> None:
    """Put other arguments in the place of the agent's; raises as `reviewing.edit`."""
    with store.lock:
        version = store.runs[approval.run_id].effects[approval.place].version
        reviewing.edit(approval, arguments, version=version, by=by, now=store.clock())


def signal(store: MemoryStore, run: RunRow, name: str, payload: Json = None, id: str = "") -> None:  # noqa: A002 - the field's name
    """Keep a signal for its run, and call upon the run.

    Raises:
        IllegalMove: it has ended.
        SignalRefused: its id belongs to another signal.
    """
    with store.lock:
        given = SignalRow(
            id=id or f"signal-{len(run.signals) + 1}", name=name, payload=stored(payload)
        )
        known = run.signals.get(given.id)
        if known is not None:
            if (known.name, known.payload) != (name, given.payload):
                raise SignalRefused(f"{id!r} was another signal before; give it a new id")
            return
        if run.state in FINAL:
            raise IllegalMove(run.state, "signalled")
        run.signals[given.id] = given
        wake(store, run, "signal.received", {"signal": given.id, "name": name})


def raise_budget(
    store: MemoryStore,
    name: str,
    unit: Unit,
    amount: Decimal,
    *,
    until: datetime | None = None,
    once: bool = False,
) -> None:
    """Add to a limit, for good or for a time, and wake the runs that waited for it."""
    with store.lock:
        balance = periods.turned(store.budgets[name], store.clock())
        if getattr(balance.limits, unit) is None:
            raise ValueError(f"{unit} has no limit here, so there is nothing to raise")
        extra = Extra(unit=unit, amount=amount, until=until)
        for_good = until is None and not once
        store.budgets[name] = periods.raised(balance, extra, for_good=for_good)
        for run in store.runs.values():
            if name in run.budgets:
                wake(store, run, "budget.raised", {"unit": unit, "amount": str(amount)})


def resume(store: MemoryStore, run: RunRow, reason: str) -> None:
    """Queue a run that was parked as poison or for its version, its crashes forgotten.

    Raises:
        IllegalMove: it is not parked.
    """
    with store.lock:
        if run.state is not RunState.INTERRUPTED or run.reason not in PARKED:
            raise IllegalMove(run.state, "resumed")
        run.state, run.reason, run.crashes = RunState.QUEUED, Reason.NONE, 0
        run.error_class = run.error_detail = ""
        for (step, _), row in run.tasks.items():
            row.crashes = 0 if step == run.super_step else row.crashes
        run.emit("run.resumed", {"reason": reason})
        admission.requeue(store, run)


def rewind(store: MemoryStore, run: RunRow, super_step: int) -> None:
    """Append a checkpoint that stands for a past one, and queue the run to go on from it.

    Raises:
        IllegalMove: somebody holds the run, or it has ended.
    """
    with store.lock:
        if run.state not in ENDABLE:
            raise IllegalMove(run.state, "rewound")
        past = decode(super_step, run.checkpoints[super_step].head, {}, lambda _: list)
        head = stored(encode(rewound(past, run.super_step)))
        ledger.close(store, run)
        run.super_step += 1
        run.checkpoints[run.super_step] = CheckpointRow(head=head, writes={}, token=run.token)
        run.state, run.reason, run.due_at = RunState.QUEUED, Reason.NONE, None
        run.crashes, run.error_class, run.error_detail = 0, "", ""
        children.leave(store, run, super_step)
        run.emit("run.rewound", {"to": super_step, "from": run.super_step - 1})
        admission.requeue(store, run)


class Left(StrEnum):
    """Why the sweeper sends a message: the last one was not heard, or who heard it is gone."""

    UNHEARD = "unheard"
    UNHELD = "unheld"


def sweep(store: MemoryStore, *, blind_to: Collection[Left] = ()) -> None:
    """Find what nobody looks after any more: one round of the sweeper."""
    with store.lock:
        now = store.clock()
        for approval in store.approvals.values():
            if (event := reviewing.due(approval, now)) is not None:
                wake(store, store.runs[approval.run_id], *event)
        for run in store.runs.values():
            _wake_due(store, run, _is_past(now))
            for why, task in _left_behind(store, run, _is_past(now)):
                if why not in blind_to:
                    store.outbox.leave(run, task)
        admission.admit(store)


def _is_past(now: datetime) -> Callable[[datetime | None], bool]:
    return lambda moment: moment is not None and moment <= now


def _wake_due(store: MemoryStore, run: RunRow, past: Callable[[datetime | None], bool]) -> None:
    if run.state in HELD_BACK and past(run.due_at):
        wake(store, run, "timer.due", {})
    if past(run.deadline):
        detail = "past its deadline"
        stop(store, run, RunState.EXPIRED, error_class=ErrorClass.TIMEOUT, detail=detail)


def _left_behind(
    store: MemoryStore, run: RunRow, past: Callable[[datetime | None], bool]
) -> Iterator[tuple[Left, str]]:
    if (run.state is RunState.QUEUED and run.queue_at is None) or children.calls(store, run):
        yield Left.UNHEARD, ""
    if run.state is not RunState.RUNNING:
        return
    if not run.open_tasks and (run.lease_until is None or past(run.lease_until)):
        yield Left.UNHELD, ""
    for (step, task), row in run.tasks.items():
        if step == run.super_step and row.state == "pending":
            yield Left.UNHEARD, task
        elif step == run.super_step and past(row.lease_until):
            yield Left.UNHELD, task
