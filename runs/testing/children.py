"""Children of a run, in memory: what `runs/sql/9_children.sql` does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from policy.core.json import JsonObject
from policy.core.money import Balance
from policy.core.outcomes import ErrorClass
from runs.broods import Brood, Newborn, Wait
from runs.core.checkpoint import encode
from runs.core.effects import EffectKind, EffectState
from runs.core.lifecycle import FINAL, HELD_BACK, Reason, RunState
from runs.ports import Joined, Lease, Nudge, Put, PutEffect, Settled, Spawned
from runs.testing import admission, ledger
from runs.testing.rows import CheckpointRow, JoinRow, RunRow, stored

if TYPE_CHECKING:
    from runs.testing.store import MemoryStore


def called_off(store: MemoryStore, run: RunRow) -> bool:
    """Say whether somebody cancelled a run, or one above it is over."""
    above = [store.runs[name] for name in run.ancestors]
    return (
        run.cancel
        or any(one.cancel or one.state in FINAL for one in above)
        or any(store.joins[one.join_id].is_over for one in [run, *above] if one.join_id)
    )


def has_joined(store: MemoryStore, run: RunRow) -> bool:
    """Say whether children have come to what their parent waits for."""
    return any(join.run_id == run.id and join.is_joined for join in store.joins.values())


def calls(store: MemoryStore, run: RunRow) -> bool:
    """Say whether a run that is set aside may be claimed for its family's sake."""
    if run.state not in HELD_BACK:
        return False
    is_parked = run.reason in {Reason.POISON, Reason.VERSION}
    return (bool(run.join_id) and called_off(store, run)) or (
        not is_parked and has_joined(store, run)
    )


def tell_family(store: MemoryStore, run: RunRow) -> list[Nudge]:
    """Count a run that ended where its parent waits, and call upon its children."""
    left = []
    if run.join_id:
        join = store.joins[run.join_id]
        join.succeeded += run.state is RunState.SUCCEEDED
        join.failed += run.state is not RunState.SUCCEEDED
        if join.is_joined:
            left.append(store.outbox.leave(store.runs[join.run_id]))
    return left + call_children(store, run)


def call_children(store: MemoryStore, run: RunRow, join_id: str = "") -> list[Nudge]:
    """Leave a message for each child that has not ended."""
    return [
        store.outbox.leave(child)
        for child in _children(store, run, join_id)
        if child.state not in FINAL
    ]


def leave(store: MemoryStore, run: RunRow, super_step: int) -> None:
    """Call off the children that a run spawned since a super-step that it is rewound to."""
    for place, row in run.effects.items():
        is_birth = row.kind is EffectKind.CHILD and row.state is EffectState.DONE
        if not is_birth or place.super_step < super_step:
            continue
        told: Any = row.outcome
        brood = store.joins[told["value"]["join"]]
        brood.want_succeeded, brood.want_failed, brood.is_over = None, None, True
        call_children(store, run, told["value"]["join"])


def forget_wants(store: MemoryStore, run: RunRow) -> None:
    """Forget what a run waited for before: what it does is wanted anew."""
    for join in store.joins.values():
        if join.run_id == run.id:
            join.want_succeeded = join.want_failed = None


def _children(store: MemoryStore, run: RunRow, join_id: str) -> Iterable[RunRow]:
    for child in list(store.runs.values()):
        if child.ancestors[:1] == (run.id,) and join_id in {"", child.join_id}:
            yield child


def spawn(
    store: MemoryStore,
    run: RunRow,
    lease: Lease,
    wish: PutEffect,
    brood: Brood,
    before: Sequence[Settled],
) -> Spawned:
    """Start children and write down the effect that says so."""
    if why := _too_many(store, run, brood):
        wish = replace(
            wish,
            state=EffectState.FAILED,
            error_class=ErrorClass.VALIDATION_ERROR,
            outcome={"failed": ErrorClass.VALIDATION_ERROR, "detail": why, "in_doubt": False},
        )
    answer = ledger.put(store, run, lease, wish, before)
    if answer is not Put.OK or why:
        return Spawned(put=answer, refused=why)
    store.joins[brood.join_id] = JoinRow(run_id=run.id, total=len(brood.children))
    root = store.runs[_root(run)]
    root.family = root.family or brood.family
    born = [_born(store, run, brood, child) for child in brood.children]
    sent = [store.outbox.leave(child) for child in born if child.queue_at is None]
    return Spawned(put=answer, sent=sent)


def _too_many(store: MemoryStore, run: RunRow, brood: Brood) -> str:
    """Say why a run may not start so many children more; empty where it may."""
    had, more = list(_children(store, run, "")), len(brood.children)
    live = sum(child.state not in FINAL for child in had)
    if len(had) + more > brood.total:
        told = f"{len(had)} children and {more} more"
        return f"{told}: a run of this agent starts {brood.total} at most"
    if live + more > brood.at_once:
        told = f"{live} children at work and {more} more"
        return f"{told}: a run of this agent has {brood.at_once} at once at most"
    root = _root(run)
    most = store.runs[root].family or brood.family
    kin = sum(root in one.ancestors for one in store.runs.values())
    if kin + more > most:
        told = f"{kin} runs descend from run {root}, and {more} more: there may be {most}"
        return f"{told}; start fewer, or raise ChildLimits(family=...) of its agent"
    return ""


def _root(run: RunRow) -> str:
    """Give the run above it that nobody spawned, or itself."""
    return run.ancestors[-1] if run.ancestors else run.id


def _born(store: MemoryStore, parent: RunRow, brood: Brood, child: Newborn) -> RunRow:
    own = None if brood.deadline is None else store.clock() + brood.deadline
    ends = [end for end in (own, parent.deadline) if end is not None]
    store.budgets[child.budget_id] = Balance(limits=brood.limits)
    row = RunRow(
        tenant_id=parent.tenant_id,
        id=child.id,
        agent=brood.agent,
        agent_version_id=brood.agent_version_id,
        started_by=parent.started_by,
        principal_id=parent.principal_id,
        deadline=min(ends) if ends else None,
        deadline_stops=brood.deadline_stops,
        budgets=[child.budget_id, *_above(store, parent, brood.agent)],
        ancestors=(parent.id, *parent.ancestors),
        join_id=brood.join_id,
        priority=parent.priority,
    )
    admission.line_up(store, row)
    row.checkpoints[0] = CheckpointRow(
        head=stored(encode(child.first)), writes=stored(dict(child.first.channels)), token=0
    )
    row.emit("run.queued", {"agent": row.agent, "parent": parent.id})
    store.runs[row.id] = row
    return row


def _above(store: MemoryStore, parent: RunRow, agent: str) -> list[str]:
    """Name the budgets above a child: its parent's, and its own agent's."""
    own = store.agent_budgets.get(agent)
    return [*parent.budgets, *([own] if own and own not in parent.budgets else [])]


def join(
    store: MemoryStore,
    run: RunRow,
    lease: Lease,
    wish: PutEffect,
    wait: Wait,
    before: Sequence[Settled],
) -> Joined:
    """Look at a brood: done and recorded, or waited for."""
    answer = ledger.put(store, run, lease, wish, before)
    if answer is not Put.OK:
        return Joined(put=answer)
    brood = store.joins.get(wait.join_id)
    if brood is None or brood.run_id != run.id:
        return Joined(put=answer, results=_done(store, run, wish, []))
    brood.want_succeeded, brood.want_failed = wait.want_succeeded, wait.want_failed
    if not brood.is_joined:
        return Joined(put=answer)
    brood.want_succeeded, brood.want_failed, brood.is_over = None, None, True
    found = [_told(child) for child in _children(store, run, wait.join_id)]
    sent = call_children(store, run, wait.join_id)
    return Joined(put=answer, results=_done(store, run, wish, found), sent=sent)


def _done(
    store: MemoryStore, run: RunRow, wish: PutEffect, found: list[JsonObject]
) -> list[JsonObject]:
    done = Settled(place=wish.place, state=EffectState.DONE, outcome={"value": found})
    ledger.settle_all(store, run, [done])
    return found


def _told(child: RunRow) -> JsonObject:
    told: JsonObject = stored(
        {
            "run": child.id,
            "state": child.state,
            "output": child.output,
            "error_class": child.error_class,
            "error_detail": child.error_detail,
        }
    )
    return told
