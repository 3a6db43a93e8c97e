"""What tools cost, on the real store: booked, told apart, shown to who decides."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from policy import tenancy
from policy.core.money import Amounts, Limits, Unit
from policy.models import AuditEvent
from runs.agents import Context, Node, Program, graph
from runs.queries.attribution import Attribute, attribution
from tests.http import Api, a_person, a_remote_tool, signed_in
from tests.integration.engine_room import Room
from tools import catalogue
from tools.errors import InvalidTool
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


def test_the_price_of_a_remote_tool_is_declared_and_written_down(tenant: UUID) -> None:
    a_remote_tool(tenant)
    with tenancy.scope(tenant):
        declare("crm.find", price="0.002")

        found = catalogue.find("crm.find")
        with pytest.raises(InvalidTool, match=r"crm\.find"):
            declare("crm.find", price="-1")

    assert found.price == Decimal("0.002")
    assert told(tenant) == [{"price": "0.002"}]


def told(tenant: UUID) -> list[dict[str, Any]]:
    with tenancy.scope(tenant):
        events = AuditEvent.objects.filter(action="tool.declare", subject="tool/crm.find")
        return list(events.order_by("id").values_list("detail", flat=True))


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), 0, -1])
def test_what_is_no_timeout_is_refused(tenant: UUID, seconds: float) -> None:
    a_remote_tool(tenant)

    with tenancy.scope(tenant), pytest.raises(InvalidTool, match="number of seconds above 0"):
        declare("crm.find", timeout=seconds)

    with pytest.raises(InvalidTool, match="number of seconds above 0"):
        tool("t.never", effect="read", timeout=seconds)(look)


def test_a_price_is_set_over_http_by_who_answers_for_money(tenant: UUID) -> None:
    path = f"/api/v1/tools/{a_remote_tool(tenant)}/price"
    finance = Api(tenant, "finance")

    answer = finance.put(path, {"price": "0.002"})

    assert (answer.status_code, answer.json()["price"]) == (200, "0.002")
    assert Api(tenant, "viewer").get("/api/v1/tools").json()["results"] == [answer.json()]
    assert told(tenant) == [{"price": "0.002"}]
    for role in ("operator", "reviewer"):
        assert Api(tenant, role).put(path, {"price": "0"}).status_code == 403
    with tenancy.scope(tenant):
        assert catalogue.find("crm.find").price == Decimal("0.002")


@pytest.mark.parametrize("price", ["-1", "many", "0.0000000001", "1e11", None])
def test_what_is_no_price_is_refused_over_http(tenant: UUID, price: Any) -> None:
    path = f"/api/v1/tools/{a_remote_tool(tenant)}/price"

    answer = Api(tenant).put(path, {"price": price})

    assert answer.status_code == 422
    assert told(tenant) == []


def test_a_price_is_set_on_the_tools_page(tenant: UUID) -> None:
    tool_id = a_remote_tool(tenant)
    page, path = f"/admin/tools/remotetool/{tool_id}/change/", f"/admin/tools/{tool_id}/price"
    finance, viewer = (signed_in(a_person(tenant, role), tenant) for role in ("finance", "viewer"))

    viewer.post(path, {"price": "7"})
    refused = finance.post(path, {"price": "-7"}, follow=True).content.decode()
    said = finance.post(path, {"price": " 0.002 "}, follow=True).content.decode()

    assert "a price is from 0 to" in refused
    assert 'value="0.002"' in said
    assert path in said
    assert path not in viewer.get(page).content.decode()
    assert told(tenant) == [{"price": "0.002"}]
