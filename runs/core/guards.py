"""Loops that lead nowhere: the same calls with the same results, nothing changed, no end. Pure.

    Watch of a checkpoint ──a super-step──▶ Watch of the next ──▶ why it should stop, or None

A super-step that waited (slept, took a signal, joined children) is no loop: time has passed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, Literal

from policy.core.json import digest

WAITED: Final = "waited"
"""The trace of a task that waited for something."""

TASK: Final = "guard"
"""The place in the ledger at which a person is asked whether to go on: no node has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopGuard:
    """What counts as a loop, and what happens then: the run fails, or a person is asked.

    `max_repeats` super-steps in a row whose tool calls were the same and gave the same;
    `max_still` super-steps in a row that changed no channel, led to the same tasks and called
    nothing new. None is without a bound. A person who lets it go on grants as many again.
    """

    max_repeats: int | None = 10
    max_still: int | None = 20
    on_loop: Literal["fail", "ask"] = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What a checkpoint remembers of the super-steps before it.

    `until` is the bound of super-steps where a person moved it, else 0.
    """

    trace: str = ""
    repeats: int = 0
    still: int = 0
    until: int = 0


NOTHING: Final = Watch()
"""What the first checkpoint remembers."""


def trace_of(calls: Iterable[str], *, waited: bool) -> str:
    """Name what a task called and what came back, by digests of each; empty for nothing."""
    if waited:
        return WAITED
    every = sorted(calls)
    return digest(*every) if every else ""


def watched(before: Watch, traces: Iterable[str], *, changed: bool) -> Watch:
    """Give what the next checkpoint remembers of a super-step whose tasks left these traces."""
    left = sorted(trace for trace in traces if trace)
    if WAITED in left:
        return Watch(until=before.until)
    trace = digest(*left) if left else ""
    is_same = trace == before.trace
    still = 0 if changed or (trace and not is_same) else before.still + 1
    if not trace:
        return replace(before, still=still)
    repeats = before.repeats + 1 if is_same else 1
    return replace(before, trace=trace, repeats=repeats, still=still)


def allowed(watch: Watch, super_step: int, most: int) -> Watch:
    """Forget the loop, for a person lets it go on for as many super-steps again."""
    return Watch(until=max(watch.until, super_step + most))


def why_stop(guard: LoopGuard, watch: Watch, super_step: int, most: int) -> str | None:
    """Say why a run should not go on, or None; `most` is its bound of super-steps."""
    if super_step >= (watch.until or most):
        return f"no end after {super_step} super-steps (max_super_steps)"
    if guard.max_repeats is not None and watch.repeats >= guard.max_repeats:
        return f"the same calls gave the same results {watch.repeats} times in a row (max_repeats)"
    if guard.max_still is not None and watch.still >= guard.max_still:
        return f"nothing changed for {watch.still} super-steps in a row (max_still)"
    return None
