"""What tools cost, on the real store: booked, told apart, shown to who decides."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from policy.core.money import Amounts, Limits, Unit
from policy.models import AuditEvent
from runs.agents import Context, Node, Program, graph
from runs.queries.attribution import Attribute, attribution
from tests.http import Api
from tests.integration.engine_room import Room
from tools import catalogue
from tools.errors import InvalidTool
from tools.models import RemoteTool, ToolServer
from tools.operations.declare import declare
from tools.registry import tool

ASK = """
rules:
  - {name: dear, decision: require_approval, tools: paid.*, cost: {above: 0.1}}
"""


@tool("paid.look", effect="idempotent", risk="low", price="0.25")
def look() -> str:
    """Look something up that costs money."""
    return "seen"


def looking(times: int) -> Program:
    async def run(ctx: Context) -> dict[str, Any]:
        return {"output": [await ctx.tool("paid.look") for _ in range(times)]}

    shape = graph(Node(name="main", run=run), start="main")
    return Program(name="looker", version="1", graph=shape, tools=("paid.*",))


def test_calls_of_tools_are_paid_from_the_same_budget_and_told_apart(room: Room) -> None:
    room.allow_everything()
    run_id = room.play(looking(3), budget=Limits(cost=Decimal("0.6")))
    paused = room.run(run_id), room.ground.budget(run_id)

    room.ground.raise_budget(run_id, Unit.COST, 1)
    room.go_on(run_id)

    balance = room.ground.budget(run_id)
    with room.scope():
        now = datetime.now(UTC)
        hour = timedelta(hours=1)
        [by_tool] = attribution(Attribute.TOOL, since=now - hour, until=now + hour)
    assert (paused[0].state, paused[0].reason) == ("paused", "budget")
    assert (paused[1].spent.cost, paused[1].reserved) == (Decimal("0.5"), Amounts())
    assert room.state(run_id) == "succeeded"
    assert (balance.spent.cost, balance.spent.tool_calls) == (Decimal("0.75"), 3)
    assert (by_tool.key, by_tool.cost) == ("paid.look", Decimal("0.75"))
    assert not by_tool.estimated


def test_a_rule_holds_what_costs_too_much_and_who_decides_sees_the_price(room: Room) -> None:
    room.apply(ASK)
    room.play(looking(1))
    api = Api(UUID(room.ground.tenant), "reviewer")

    [question] = api.get("/api/v1/approvals").json()["results"]
    shown = api.get(f"/api/v1/approvals/{question['id']}").json()

    assert shown["rule"] == "dear"
    assert shown["cost"] == "0.25"


def test_the_price_of_a_remote_tool_is_declared_and_written_down(room: Room) -> None:
    with room.scope():
        server = ToolServer.objects.create(id=uuid7(), name="crm", url="http://127.0.0.1:1/mcp")
        RemoteTool.objects.create(
            id=uuid7(), server=server, name="crm.find", remote_name="find", version="1",
            input_schema={"type": "object"},
        )  # fmt: skip
        declare("crm.find", price="0.002")

        found = catalogue.find("crm.find")
        [told] = AuditEvent.objects.filter(action="tool.declare").values_list("detail", flat=True)
        with pytest.raises(InvalidTool, match=r"crm\.find"):
            declare("crm.find", price="-1")

    assert found.price == Decimal("0.002")
    assert told == {"price": "0.002"}
