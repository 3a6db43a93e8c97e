"""The checker: what must be true of the whole history when everything is quiet again."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any, Final

from runs.core.effects import EffectKind, EffectState, effect_key
from runs.core.lifecycle import FINAL, RunState
from runs.testing.rows import RunRow
from runs.testing.simulation import bounds, kin
from runs.testing.simulation.families import LOOSE
from runs.testing.simulation.ground import Ground
from runs.testing.simulation.outside import CLASSES, thing

TWINS: Final[dict[str, str]] = {}
MINTED: Final = re.compile(r"id-\d+-")


def judge(ground: Ground) -> None:
    """Judge a whole history; what is wrong is added to the ground's violations."""
    for run in ground.store.runs.values():
        _ended(ground, run)
        _checkpoints(ground, run)
        _effects(ground, run)
        _decisions(ground, run)
    _money(ground)
    kin.judge(ground)


def twin(run: RunRow) -> str:
    """Name whose twin a run is: its program, and what it was given."""
    return json.dumps([run.agent, run.checkpoints[0].writes], sort_keys=True)


def history(run: RunRow) -> str:
    """Give what must be equal with and without faults: writes, heads, output, outcomes.

    Ids are named by the order in which they are told of.
    """
    if run.agent in LOOSE:
        return json.dumps([run.state, run.output], default=str)
    effects = [
        [row.place.super_step, row.place.task, row.place.ordinal, row.state, row.outcome]
        for _, row in sorted(run.effects.items())
        if row.kind is not EffectKind.TIMER
    ]
    steps: list[Any] = [[n, row.head, row.writes] for n, row in sorted(run.checkpoints.items())]
    told = json.dumps([run.state, run.output, steps, effects], sort_keys=True, default=str)
    known: dict[str, str] = {}
    return MINTED.sub(lambda found: known.setdefault(found[0], f"#{len(known)}"), told)


def _ended(ground: Ground, run: RunRow) -> None:
    if run.state not in FINAL:
        ground.wrong(f"G3 {run.id} ({run.agent}): still {run.state} {run.reason}")
        return
    store = ground.store
    expired = any(row.state == "expired" for row in store.approvals.values())
    is_over = bool(run.ancestors) and run.state is RunState.CANCELLED  # judged when it moved
    is_over = is_over or bounds.gave_up(run)
    if ground.is_touched(run) or expired or is_over or twin(run) not in TWINS:
        return
    if history(run) != TWINS[twin(run)]:
        why = f"{run.state} {run.error_class} {run.error_detail}"
        ground.wrong(f"G1 {run.id} ({run.agent}): {why} differs from its twin")


def _checkpoints(ground: Ground, run: RunRow) -> None:
    numbers = sorted(run.checkpoints)
    tokens = [run.checkpoints[n].token for n in numbers]
    if numbers != list(range(len(numbers))):
        ground.wrong(f"G4 {run.id}: checkpoints {numbers}")
    if tokens != sorted(tokens):
        ground.wrong(f"G4 {run.id}: tokens {tokens}")


def _effects(ground: Ground, run: RunRow) -> None:
    for place, row in run.effects.items():
        if row.kind is not EffectKind.TOOL or row.name == "look":
            continue
        what = thing(run.id, row.name, row.request)
        count = ground.books.happened[what]
        key = effect_key(run.id, place)
        if count > 1:
            ground.wrong(f"G2 {key}: {row.name} ({CLASSES[row.name]}) happened {count} times")
        if row.state is EffectState.DONE and count != 1:
            ground.wrong(f"G2 {key}: done, and happened {count} times")
        if row.error_class == "policy_denied" and count:
            ground.wrong(f"G2 {key}: denied, and happened")
    asked = {
        thing(run.id, row.name, row.request)
        for row in run.effects.values()
        if row.kind is EffectKind.TOOL
    }
    for what in ground.books.happened:
        if what[0] == run.id and what not in asked:
            ground.wrong(f"G2 {what}: happened, and is not in the ledger")


def _decisions(ground: Ground, run: RunRow) -> None:
    told = Counter(str(data["approval"]) for kind, data in run.events if kind == "approval.decided")
    for approval, times in told.items():
        if times > 1:
            ground.wrong(f"G6 {approval}: decided {times} times")


def _money(ground: Ground) -> None:
    """At rest nothing is reserved, and counters equal the sum of the ledger."""
    store = ground.store
    if not all(run.state in FINAL for run in store.runs.values()):
        return
    for name, balance in store.budgets.items():
        rows = [
            row
            for run in store.runs.values()
            if name in run.budgets
            for row in run.effects.values()
        ]
        sums = {
            "cost": sum(row.cost for row in rows),
            "model_calls": sum(r.attempt for r in rows if r.kind is EffectKind.MODEL),
            "tool_calls": sum(r.attempt for r in rows if r.kind is EffectKind.TOOL),
        }
        for unit, total in sums.items():
            if getattr(balance.reserved, unit):
                ground.wrong(f"G5 {name}: {getattr(balance.reserved, unit)} {unit} still reserved")
            booked = getattr(balance.spent, unit) + getattr(balance.overdraft, unit)
            if booked != total:
                ground.wrong(f"G5 {name}: {unit} {booked} booked, the ledger says {total}")
