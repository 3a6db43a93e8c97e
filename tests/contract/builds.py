"""Commits and calls, as the store's contract needs them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from itertools import count
from threading import Barrier
from typing import Any, TypeVar
from uuid import UUID

from policy.core.json import Json
from policy.core.money import Amounts
from policy.core.outcomes import ErrorClass, Usage
from runs.core.checkpoint import Checkpoint, TaskSpec
from runs.core.effects import EffectKind, EffectState, Place
from runs.core.lifecycle import Reason, RunState
from runs.core.results import Finished
from runs.ports import Claimed, Nudge, Put, PutEffect, Question, Save, Settled
from tests.contract.grounds import LEASE, Ground, claim

T = TypeVar("T")


def a_save(claimed: Claimed, state: RunState = RunState.RUNNING, **change: Any) -> Save:
    """The commit of a super-step after which task `a` comes again."""
    writes = change.pop("writes", {})
    step = claimed.lease.super_step + 1
    checkpoint = Checkpoint(
        super_step=step,
        channels={"input": {"question": 1}, **writes},
        written={"input": 0, **dict.fromkeys(writes, step)},
        tasks=change.pop("tasks", (TaskSpec(id="a", node="a"),)),
    )
    return Save(
        state=state, wakeups=claimed.wakeups, checkpoint=checkpoint, writes=writes, **change
    )


def waiting(claimed: Claimed, **change: Any) -> Save:
    """A commit that sets the run aside until somebody calls."""
    fields: dict[str, Any] = {
        "state": RunState.INTERRUPTED,
        "reason": Reason.APPROVAL,
        "wakeups": claimed.wakeups,
        "events": [("run.interrupted", {})],
    }
    return Save(**{**fields, **change})


def moved(claimed: Claimed) -> Claimed:
    """The same lease, one super-step on."""
    lease = replace(claimed.lease, super_step=claimed.lease.super_step + 1)
    return replace(claimed, lease=lease)


def fanned_out(ground: Ground, run_id: str) -> list[Nudge]:
    return ground.store.fan_out(claim(ground, run_id).lease, ["a", "b", "c"])


def finish(ground: Ground, claimed: Claimed, **writes: Json) -> Claimed | None:
    return ground.store.finish_task(claimed.lease, Finished(writes=writes), [], ttl=LEASE)


def at_once(calls: list[Callable[[], T]]) -> list[T]:
    """Make calls in threads that start together."""
    barrier = Barrier(len(calls))

    def call(one: Callable[[], T]) -> T:
        barrier.wait()
        return one()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(call, calls))


NUMBERS = count(1)
FIRST = Place(0, "a", 0)
DIGEST = "d" * 64
WORST = Amounts(cost=Decimal("0.5"), tokens=100, model_calls=1)


def a_tool(place: Place = FIRST, **change: Any) -> PutEffect:
    fields: dict[str, Any] = {
        "place": place,
        "kind": EffectKind.TOOL,
        "name": "payments.refund",
        "version": "1",
        "effect": "once",
        "digest": DIGEST,
        "request": {"order": 1},
        "state": EffectState.CLAIMED,
        "reserve": Amounts(tool_calls=1),
    }
    return PutEffect(**{**fields, **change})


def a_model(place: Place = FIRST, **change: Any) -> PutEffect:
    fields = {"kind": EffectKind.MODEL, "name": "fast", "effect": "idempotent", "reserve": WORST}
    return a_tool(place, **{**fields, **change})


def a_question(kind: str = "tool_call", **change: Any) -> Question:
    return Question(
        **change,
        id=str(UUID(int=next(NUMBERS) + (id(NUMBERS) << 64))),
        kind=kind,
        digest=DIGEST,
        policy_version="p1",
        rule="refunds",
        reason="more than 100",
        seconds=3600,
    )


def held(place: Place = FIRST, **change: Any) -> PutEffect:
    question = a_question(**change)
    return a_tool(place, state=EffectState.HELD, reserve=Amounts(), question=question)


def done(place: Place = FIRST, **usage: Any) -> Settled:
    return Settled(
        place=place,
        state=EffectState.DONE,
        outcome={"value": "ok"},
        usage=Usage(**usage),
    )


def put(ground: Ground, claimed: Claimed, wish: PutEffect, *before: Settled) -> Put:
    return ground.store.put_effect(claimed.lease, wish, before)


def in_doubt(ground: Ground, claimed: Claimed) -> Put:
    """A call was made, and nobody knows what came of it: a person is asked."""
    put(ground, claimed, a_tool())
    question = a_question("outcome_unknown")
    return put(
        ground, claimed, a_tool(state=EffectState.UNKNOWN, reserve=Amounts(), question=question)
    )


def ended(claimed: Claimed, state: RunState = RunState.CANCELLED) -> Save:
    return Save(state=state, wakeups=claimed.wakeups, error_class=ErrorClass.CANCELLATION)
