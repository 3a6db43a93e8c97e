"""Waiting for what somebody outside tells a run."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from runs.agents import Context, Node, Program, SyncContext, graph
from runs.agents.context import SignalTimeout
from runs.testing import Played, play
from tests.unit.runs import desk


def of(run: Callable[..., Any]) -> Program:
    main = graph(Node(name="main", run=run), start="main")
    return Program(name="it", version="1", tools=("desk.*",), graph=main)


async def waiting(ctx: Context) -> dict[str, Any]:
    noted = await ctx.tool("desk.note", text="before")
    first = await ctx.wait_signal("paid")
    second = await ctx.wait_signal("paid")
    return {"output": [noted, first, second]}


def waiting_plainly(ctx: SyncContext) -> dict[str, Any]:
    noted = ctx.tool("desk.note", text="before")
    return {"output": [noted, ctx.wait_signal("paid"), ctx.wait_signal("paid")]}


async def patient(ctx: Context) -> dict[str, Any]:
    try:
        return {"output": await ctx.wait_signal("paid", timeout=timedelta(hours=1))}
    except SignalTimeout as late:
        return {"output": str(late)}


@pytest.mark.parametrize("node", [waiting, waiting_plainly])
def test_a_run_waits_for_a_signal_and_repeats_nothing(node: Callable[..., Any]) -> None:
    desk.world.forget()
    played = play(of(node), None)
    asleep = (played.state, played.reason)

    played.signal("other", 0).signal("paid", 1).signal("paid", 2)

    assert asleep == ("waiting", "signal")
    assert played.output == ["noted before", 1, 2]
    assert len(played.calls) == 1


@pytest.mark.parametrize("node", [waiting, waiting_plainly])
def test_a_crash_before_any_write_takes_no_signal_twice(node: Callable[..., Any]) -> None:
    def served(*deaths: int) -> Played:
        desk.world.forget()
        played = play(of(node), None, crash_before_write=deaths)
        return played.signal("paid", 1).signal("paid", 2)

    for death in range(1, served().writes + 1):
        assert served(death).output == ["noted before", 1, 2], f"crashed before write {death}"


def test_a_signal_that_comes_before_anybody_waits_is_kept() -> None:
    async def node(ctx: Context) -> dict[str, Any]:
        await ctx.tool("desk.pay", order=1, amount=1)
        return await patient(ctx)

    policy = "rules: [{name: all, decision: require_approval, expires_after: 9h}]"
    desk.world.forget()
    played = play(of(node), None, policy=policy)
    played.signal("paid", "early").approve()

    assert played.output == "early"


def test_without_a_signal_in_time_the_agent_is_told() -> None:
    played = play(of(patient), None)

    assert played.output == "no signal 'paid' came within 3600 s"
