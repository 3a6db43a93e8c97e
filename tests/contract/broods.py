"""Broods: children that are started, joined and ended, for tests of both stores."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from policy.core.money import Amounts, Limits
from runs.broods import Brood, Newborn, Wait
from runs.core.effects import EffectKind, EffectState, Place
from runs.core.lifecycle import Reason, RunState
from runs.core.plan import first_checkpoint
from runs.ports import Claimed, Joined, Put, PutEffect, Save, Spawned
from tests.contract.builds import (
    FIRST,
    a_tool,
    waiting,
)
from tests.contract.grounds import LEASE, Ground, agent_of, claim

SECOND = Place(0, "a", 1)
NOTHING = Amounts()


def a_brood(claimed: Claimed, size: int = 2, **change: Any) -> Brood:
    first = first_checkpoint(agent_of("a").graph, {"question": 1})
    fields: dict[str, Any] = {
        "join_id": str(uuid4()),
        "agent_version_id": claimed.agent_version_id,
        "agent": "worker",
        "limits": Limits(),
        "deadline": None,
        "total": 10_000,
        "at_once": 1_000,
        "family": 100_000,
        "children": [
            Newborn(id=str(uuid4()), budget_id=str(uuid4()), first=first) for _ in range(size)
        ],
    }
    return Brood(**{**fields, **change})


def a_child(place: Place = FIRST, join_id: str = "") -> PutEffect:
    told = {"value": {"join": join_id, "runs": []}}
    state = EffectState.DONE
    return a_tool(place, kind=EffectKind.CHILD, state=state, reserve=NOTHING, outcome=told)


def spawn(ground: Ground, claimed: Claimed, brood: Brood) -> Spawned:
    return ground.store.spawn(claimed.lease, a_child(join_id=brood.join_id), brood, [])


def born(ground: Ground, claimed: Claimed, size: int = 2, **change: Any) -> tuple[Brood, list[str]]:
    brood = a_brood(claimed, size, **change)
    assert spawn(ground, claimed, brood).put is Put.OK
    return brood, [child.id for child in brood.children]


def join(ground: Ground, claimed: Claimed, brood: Brood, want: int, failed: int = 1) -> Joined:
    wish = a_tool(SECOND, kind=EffectKind.JOIN, state=EffectState.HELD, reserve=NOTHING)
    wait = Wait(join_id=brood.join_id, want_succeeded=want, want_failed=failed)
    return ground.store.join(claimed.lease, wish, wait, [])


def end(ground: Ground, run_id: str, state: RunState = RunState.SUCCEEDED) -> None:
    claimed = claim(ground, run_id, "w9")
    save = Save(state=state, wakeups=claimed.wakeups, output={"by": "child"})
    ground.store.save(claimed.lease, save, ttl=LEASE)


def set_aside(ground: Ground, claimed: Claimed) -> RunState:
    save = waiting(claimed, state=RunState.WAITING, reason=Reason.CHILDREN)
    return ground.store.save(claimed.lease, save, ttl=LEASE).state
