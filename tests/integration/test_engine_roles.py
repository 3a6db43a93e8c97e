"""A rule may ask who started the run: the roles of its principal come with the claim."""

from __future__ import annotations

from typing import Any

import pytest

from policy.core.actor import Actor
from policy.operations.create_principal import create_principal
from runs.agents import Context, Node, Program, ToolFailed, graph
from runs.agents.registry import register
from runs.operations.start import StartRun, start_run
from tests.integration.engine_room import Room
from tools.registry import tool

FINANCE_ONLY = """
rules:
  - {name: finance pays, decision: allow, tools: roles.pay, when: '"finance" in principal.roles'}
"""


@tool("roles.pay", version="1", effect="read", risk="low")
def pay_somebody() -> str:
    """Pay."""
    return "paid"


async def pay(ctx: Context) -> dict[str, Any]:
    try:
        return {"output": await ctx.tool("roles.pay")}
    except ToolFailed as failed:
        return {"output": failed.error_class}


@pytest.mark.parametrize(("role", "came_of_it"), [("finance", "paid"), ("viewer", "policy_denied")])
def test_a_run_may_do_what_its_principals_roles_allow(
    room: Room, role: str, came_of_it: str
) -> None:
    room.apply(FINANCE_ONLY)
    shape = graph(Node(name="main", run=pay), start="main")
    register(Program(name="by-role", version="1", graph=shape, tools=("roles.*",)))
    with room.scope():
        principal = create_principal("somebody", [role])
        by = Actor(principal_id=str(principal), name="somebody", kind="service", roles=(role,))
        run_id = str(start_run(StartRun(agent="by-role", input={}, by=by), now=room.now()))

    room.go_on(run_id)

    assert room.output(run_id) == came_of_it
