"""What a run was given and told, in memory: what `runs_read_told` does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from policy.core.json import Json, JsonObject
from runs.core.checkpoint import decode_head
from runs.core.effects import EffectKind
from runs.core.graph import INPUT
from runs.core.told import Told
from runs.testing.rows import EffectRow, RunRow, stored

if TYPE_CHECKING:
    from runs.testing.store import MemoryStore

MOST_TOLD = 500
LONGEST_TOLD = 64 * 1024
TELLING = frozenset({EffectKind.TOOL, EffectKind.JOIN, EffectKind.SIGNAL})


def read(store: MemoryStore, run: RunRow, after: int, upto: int) -> Told:
    """Give what a run was told in super-steps from `after`, before `upto`."""
    gaps = _skipped(run, upto)
    rows = [
        row
        for place, row in sorted(run.effects.items())
        if after <= place.super_step < upto
        and row.kind in TELLING
        and not any(0 < a <= place.super_step + 1 and place.super_step <= b for a, b in gaps)
    ]
    top = store.runs[run.ancestors[-1]] if run.ancestors else run
    own: Json = stored(run.checkpoints[0].writes.get(INPUT)) if run.ancestors else None
    return Told(
        given=stored(top.checkpoints[0].writes.get(INPUT)),
        own=own,
        is_child=bool(run.ancestors),
        handed=_handed(store, run) if run.ancestors else None,
        skipped=gaps,
        effects=[_told(store, row) for row in rows[:MOST_TOLD]],
        is_whole=len(rows) <= MOST_TOLD,
    )


def _skipped(run: RunRow, upto: int) -> list[list[int]]:
    past = [number for number in run.checkpoints if number <= upto]
    head = decode_head(run.checkpoints[max(past)].head)
    return [list(ends) for ends in head.get("skipped", [])]


def _told(store: MemoryStore, row: EffectRow) -> JsonObject:
    approval = store.approvals.get(row.approval_id)
    is_long = len(str(row.outcome)) > LONGEST_TOLD
    told: JsonObject = stored(
        {
            "super_step": row.place.super_step,
            "task": row.place.task,
            "ordinal": row.place.ordinal,
            "kind": row.kind,
            "name": row.name,
            "effect": row.effect,
            "state": row.state,
            "sent": row.attempt > 0,
            "outcome": None if is_long else row.outcome,
            "long": is_long,
            "arguments": row.request,
            "label": row.decision.get("label"),
            "approval": approval and approval.state,
        }
    )
    return told


def _handed(store: MemoryStore, run: RunRow) -> JsonObject | None:
    """Find what the parent's ledger says of where this child's input comes from."""
    for row in store.runs[run.ancestors[0]].effects.values():
        spawned = row.outcome and row.outcome.get("value")
        if row.kind is EffectKind.CHILD and spawned and spawned.get("join") == run.join_id:
            handed = row.decision.get("handed")
            place = spawned["runs"].index(run.id)
            return handed and {"tainted": handed["tainted"], "trusted": handed["trusted"][place]}
    return None
