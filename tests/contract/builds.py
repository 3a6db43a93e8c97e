"""Commits and calls, as the store's contract needs them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier
from typing import Any, TypeVar

from policy.core.json import Json
from runs.core.checkpoint import Checkpoint, TaskSpec
from runs.core.lifecycle import Reason, RunState
from runs.core.results import Finished
from runs.ports import Claimed, Nudge, Save
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
