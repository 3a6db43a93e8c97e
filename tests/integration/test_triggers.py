"""Triggers through the real engine: what is measured, what is held, what people's answers teach."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

from policy.models import Approval, Calibration, Tenant
from runs.agents import Context
from runs.models import Effect
from tests.integration.desk_agents import of
from tests.integration.engine_room import Room
from tools.registry import tool

PAID: list[Any] = []


@tool(
    "teller.pay",
    risk="low",
    effect="idempotent",
    reversible=True,
    measures={"money": "amount", "people": "to", "confidence": "sure"},
)
def teller(amount: float, to: list[str], sure: float = 1.0) -> str:  # noqa: ARG001
    """Pay some people."""
    PAID.append((amount, sure))
    return f"paid {amount}"


def rules(**hold_if: Any) -> str:
    rule = {"name": "pay", "decision": "allow", "approval": {"hold_if": hold_if}}
    return json.dumps({"rules": [rule]})


def paying(room: Room, amount: float = 10, to: Any = ("ann@shop.example",), **more: Any) -> str:
    async def node(ctx: Context) -> dict[str, Any]:
        return {"output": await ctx.tool("teller.pay", amount=amount, to=list(to), **more)}

    program = of(node, "teller")
    object.__setattr__(program, "tools", ("teller.*",))
    return room.play(program)


def why(room: Room, run_id: str) -> list[str]:
    with room.scope():
        found = Approval.objects.filter(run_id=run_id, state="open")
        return [one["name"] for row in found for one in row.triggers]


@pytest.mark.parametrize(
    ("hold_if", "call", "fires"),
    [
        ({"money": 100}, {"amount": 100}, []),
        ({"money": 100}, {"amount": 101}, ["money"]),
        ({"people": 1}, {"to": ("a", "b")}, ["people"]),
        ({"confidence": 0.8}, {"sure": 0.9}, []),
        ({"confidence": 0.8}, {"sure": 0.5}, ["confidence"]),
        ({"out_of_distribution": True}, {}, ["out_of_distribution"]),
        ({"budget": 0.5}, {}, []),
        ({"irreversible": True}, {}, []),
    ],
)
def test_a_call_is_held_by_what_its_tool_declares(
    room: Room, hold_if: Any, call: Any, fires: list[str]
) -> None:
    room.apply(rules(**hold_if))

    run_id = paying(room, **call)

    assert why(room, run_id) == fires
    assert room.state(run_id) == ("interrupted" if fires else "succeeded")


def test_an_approved_call_that_a_trigger_held_is_made(room: Room) -> None:
    room.apply(rules(money=100))
    run_id = paying(room, amount=500)

    room.decide(run_id, "approve")

    assert room.output(run_id) == "paid 500.0"
    with room.scope():
        (effect,) = Effect.objects.filter(run_id=run_id)
    assert effect.decision["facts"]["signals"] == {"money": 500.0, "people": 1} | {
        "said_confidence": None,
        "budget_used": 0.0,
    }


def test_what_people_decided_is_learnt_and_the_misses_are_printed(room: Room) -> None:
    room.apply(rules(confidence=0.99))
    for n in range(12):
        run_id = paying(room, amount=10 + n, sure=0.9)
        decision = "reject" if n % 3 == 0 else "approve"
        room.decide(run_id, decision, reason="wrong" if decision == "reject" else "")
    with room.scope():
        slug = Tenant.objects.get().slug
    printed = StringIO()

    call_command("calibrate", tenant=slug, tool="teller.pay", stdout=printed)

    report = json.loads(printed.getvalue())
    assert report["confidence"]["labelled"] == 12
    assert report["confidence"]["wrong_held"] + report["confidence"]["wrong_missed"] == 4
    with room.scope():
        (learnt,) = Calibration.objects.filter(kind="confidence")
    assert learnt.learnt["steps"][-1][1] < 0.75
    room.apply(rules(confidence=0.8))
    assert why(room, paying(room, amount=12, sure=0.9)) == ["confidence"]


def test_a_call_unlike_those_before_is_held_once_there_were_enough(room: Room) -> None:
    room.allow_everything()
    for n in range(30):
        paying(room, amount=10 + n % 5)
    with room.scope():
        slug = Tenant.objects.get().slug
    call_command("calibrate", tenant=slug, stdout=StringIO())
    room.apply(rules(out_of_distribution=True))

    usual, huge = paying(room, amount=12), paying(room, amount=4000)
    stranger = paying(room, amount=12, to=["x@evil.example"])

    assert (why(room, usual), why(room, huge)) == ([], ["out_of_distribution"])
    with room.scope():
        (held,) = Approval.objects.filter(run_id=stranger)
    assert "evil.example" in held.triggers[0]["detail"]
