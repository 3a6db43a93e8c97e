"""`ctx.sleep`: once chosen, the moment stands; a crash changes nothing about it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from math import inf, nan
from typing import Any

import pytest

from runs.agents import Context, Node, Program, SyncContext, graph
from runs.testing import play
from runs.testing.playing import BEGINNING

HOUR = timedelta(hours=1)


async def sleeping(ctx: Context) -> dict[str, Any]:
    await ctx.sleep(HOUR)
    await ctx.sleep(60)
    return {"output": "rested"}


def sleeping_plainly(ctx: SyncContext) -> dict[str, Any]:
    ctx.sleep(HOUR)
    ctx.sleep(60)
    return {"output": "rested"}


def of(run: Callable[..., Any]) -> Program:
    return Program(name="it", version="1", graph=graph(Node(name="main", run=run), start="main"))


@pytest.mark.parametrize("run", [sleeping, sleeping_plainly])
def test_a_run_sleeps_as_long_as_it_said_and_goes_on(run: Callable[..., Any]) -> None:
    played = play(of(run), None)

    assert (played.state, played.output) == ("succeeded", "rested")
    assert played.clock.now == BEGINNING + HOUR + timedelta(seconds=60)
    assert [(e.kind, e.state) for e in played.effects] == [("timer", "done")] * 2
    assert [d["reason"] for kind, d in played.events if kind == "run.waiting"] == ["timer"] * 2


@pytest.mark.parametrize("death", range(1, play(of(sleeping), None).writes + 1))
def test_a_crash_anywhere_around_a_sleep_never_ends_it_early(death: int) -> None:
    played = play(of(sleeping), None, crash_before_write=death)

    assert (played.state, played.output) == ("succeeded", "rested")
    assert played.clock.now >= BEGINNING + HOUR + timedelta(seconds=60)
    assert [(e.kind, e.state) for e in played.effects] == [("timer", "done")] * 2


def test_a_sleep_does_not_outlast_the_deadline() -> None:
    played = play(of(sleeping), None, deadline=timedelta(minutes=5))

    assert played.state == "expired"


@pytest.mark.parametrize("seconds", [-1, nan, inf, 1e12])
def test_a_sleep_that_no_clock_can_keep_fails_by_name(seconds: float) -> None:
    async def never(ctx: Context) -> None:
        await ctx.sleep(seconds)

    played = play(of(never), None)

    assert played.state == "failed"
    assert played.error.startswith("validation_error: main: sleep from 0 seconds")
