"""The checker's part about families: what is counted, what is told, what must have stopped.

It says for itself what it means to be called off: the store under test is not asked.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from runs.core.effects import EffectKind, EffectState, Place, effect_key
from runs.core.lifecycle import FINAL, RunState
from runs.testing.rows import JoinRow, RunRow
from runs.testing.simulation import bounds
from runs.testing.store import MemoryStore

if TYPE_CHECKING:
    from runs.testing.simulation.ground import Ground

MOST_DEATHS: Final = 5


def root(run: RunRow) -> str:
    """Name the run that people started."""
    return run.ancestors[-1] if run.ancestors else run.id


def called_off(store: MemoryStore, run: RunRow) -> bool:
    """Say whether a run, or one above it, is cancelled, over, or not waited for any more."""
    above = [store.runs[name] for name in run.ancestors]
    left = (store.joins[one.join_id].is_over for one in (run, *above) if one.join_id)
    return run.cancel or any(o.cancel or o.state in FINAL for o in above) or any(left)


def look(ground: Ground) -> None:
    """Look at every brood after a commit: each end is counted once, and no success is late."""
    store = ground.store
    if not store.joins:
        return
    ended: dict[str, Counter[bool]] = {}
    for run in store.runs.values():
        if run.join_id and run.state in FINAL:
            ended.setdefault(run.join_id, Counter())[run.state is RunState.SUCCEEDED] += 1
    for join_id, join in store.joins.items():
        seen = ended.get(join_id, Counter())
        if (join.succeeded, join.failed) != (seen[True], seen[False]):
            told = f"{join.succeeded} and {join.failed} counted, {seen[True]} and {seen[False]}"
            ground.wrong(f"G4 join {join_id} of {join.run_id}: {told} ended")


def moved(ground: Ground, run: RunRow) -> None:
    """Look at a run that has just come to another state."""
    store = ground.store
    if not run.ancestors:
        return
    if run.state is RunState.SUCCEEDED and called_off(store, run):
        ground.wrong(f"G2 {run.id}: succeeded after it was called off")
    is_known = ground.is_touched(run) or called_off(store, run) or bounds.gave_up(run)
    if run.state is RunState.CANCELLED and not is_known:
        ground.wrong(f"G1 {run.id}: cancelled, and nobody called it off")


def judge(ground: Ground) -> None:
    """Judge all families and all signals when everything is over."""
    for run in ground.store.runs.values():
        _born(ground, run)
        _joined(ground, run)
        _signals(ground, run)
    named = {
        row.outcome["value"]["join"]
        for run in ground.store.runs.values()
        for row in run.effects.values()
        if row.kind is EffectKind.CHILD and _is_done(row)
    }
    for join_id in ground.store.joins.keys() - named:
        ground.wrong(f"G2 join {join_id}: children that no line of the ledger tells of")


def _is_done(row: Any) -> bool:
    return row.state is EffectState.DONE


def _born(ground: Ground, run: RunRow) -> None:
    if not run.ancestors:
        return
    parent = ground.store.runs[run.ancestors[0]]
    if list(run.budgets[1:]) != list(parent.budgets):
        ground.wrong(f"G5 {run.id}: does not spend what its parent has")
    if parent.deadline and (run.deadline is None or run.deadline > parent.deadline):
        ground.wrong(f"G9 {run.id}: may outlive its parent's deadline")


def _joined(ground: Ground, run: RunRow) -> None:
    for place, row in run.effects.items():
        if row.kind is EffectKind.JOIN and _is_done(row):
            request: Any = row.request
            value: Any = row.outcome
            _decided(ground, effect_key(run.id, place), request, value["value"])


def _decided(ground: Ground, key: str, asked: Any, results: list[Any]) -> None:
    join: JoinRow = ground.store.joins[asked["join"]]
    good = sum(r["state"] == "succeeded" for r in results)
    bad = sum(r["state"] in FINAL for r in results) - good
    is_due = good >= asked["succeeded"] or bad >= asked["failed"] or good + bad == join.total
    if len(results) != join.total or not is_due:
        ground.wrong(f"G1 {key}: decided with {good} and {bad} of {join.total}")
    for result in results:
        now = ground.store.runs[result["run"]].state
        if result["state"] in FINAL and now != result["state"]:
            ground.wrong(f"G9 {key}: was told {result['state']} of {result['run']}, it is {now}")


def _signals(ground: Ground, run: RunRow) -> None:
    given: Counter[str] = Counter()
    for place, row in run.effects.items():
        if row.kind is not EffectKind.SIGNAL or not _is_done(row):
            continue
        value: Any = row.outcome
        given[str(value["value"])] += 1
        taken = [s for s in run.signals.values() if s.taken_by == place]
        if [s.payload for s in taken] != [value["value"]]:
            ground.wrong(f"G2 {effect_key(run.id, place)}: was given a signal it did not take")
    for payload, times in given.items():
        if times > 1:
            ground.wrong(f"G2 {run.id}: signal {payload} was taken {times} times")


def woke(ground: Ground, run: RunRow, place: Place) -> None:
    """Look at a timer that is said to be over."""
    row = run.effects.get(place)
    if row is None or row.kind is not EffectKind.TIMER or row.state is not EffectState.HELD:
        return
    held: Any = row.outcome
    if ground.clock.now < datetime.fromisoformat(held["due"]):
        ground.wrong(f"G9 {effect_key(run.id, place)}: woke before {held['due']}")


def died(ground: Ground, run: RunRow) -> None:
    """Count a worker that a run cost; it is parked before it costs too many."""
    ground.deaths[run.id] += 1
    if ground.deaths[run.id] > MOST_DEATHS:
        ground.wrong(f"G3 {run.id}: cost {ground.deaths[run.id]} workers and is not parked")
