"""People and money, through the real engine."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from gateway.testing import calls
from policy.core.call import Autonomy
from policy.core.money import Amounts, Limits, Unit
from policy.core.rules.recorded import request_of
from policy.errors import ApprovalNotOpen
from policy.models import Approval, AuditEvent, Tenant
from policy.queries import approval_view
from runs import queries
from runs.agents import Context
from runs.models import Effect
from tests.integration.desk_agents import (
    ASK_FIRST,
    a_desk,
    of,
    pay,
    results,
)
from tests.integration.engine_room import Room
from tests.unit.runs import desk


async def twice(ctx: Context) -> dict[str, Any]:
    await ctx.tool("desk.note", text="one")
    return {"output": await ctx.tool("desk.note", text="two")}


@pytest.fixture(autouse=True)
def _new_world() -> None:
    desk.world.forget()


def test_an_approved_call_happens_once_and_the_run_goes_on(room: Room) -> None:
    room.apply(ASK_FIRST)
    room.model(desk.SCRIPT)
    run_id = room.play(a_desk(), "Pay order 7")
    waiting = room.run(run_id)
    before = list(desk.world.effects.values())

    room.decide(run_id, "approve")

    assert (waiting.state, waiting.reason) == ("interrupted", "approval")
    assert before == ["noted seen"]
    assert room.output(run_id) == {"answer": "Order 7 was paid."}
    assert list(desk.world.effects.values()) == ["noted seen", "paid 47 for 7"]


def test_an_approval_shows_the_call_and_the_rule_it_waits_for(room: Room) -> None:
    room.apply(ASK_FIRST)
    run_id = room.play(of(pay))

    with room.scope():
        approval = Approval.objects.get(run_id=run_id)

    assert (approval.tool, approval.arguments) == ("desk.pay", {"order": 1, "amount": 5})
    assert (approval.rule, approval.agent) == ("payments", "payer")
    assert abs(approval.expires_at - approval.created_at - timedelta(hours=1)) < timedelta(
        seconds=1
    )


def test_an_approval_shows_where_each_argument_comes_from(room: Room) -> None:
    room.apply(ASK_FIRST)
    room.model(desk.SCRIPT)
    run_id = room.play(a_desk(), "Pay order 7")

    with room.scope():
        approval = Approval.objects.get(run_id=run_id)
        found = queries.origins_of(approval_view(approval))

    trusted = {one["pointer"]: (one["label"], one["trusted"]) for one in found}
    assert trusted["/order"] == ("user", True)
    assert trusted["/amount"][1] is False


def test_the_ledger_keeps_the_facts_that_a_verdict_was_made_from(room: Room) -> None:
    room.apply(ASK_FIRST)
    run_id = room.play(of(twice))

    with room.scope():
        first, second = Effect.objects.filter(run_id=run_id).order_by("ordinal")
        facts = second.decision["facts"]
        heard = AuditEvent.objects.filter(action="effect.claimed").values_list("detail", flat=True)
        judged_again = request_of(second.name, second.request, facts)
        slug = Tenant.objects.get(pk=room.ground.tenant).slug

    assert (facts["agent_version"], facts["autonomy"], facts["tenant"]) == ("1", "act", slug)
    assert (first.decision["facts"]["calls"], facts["calls"]) == (0, 1)
    assert judged_again.at is not None
    assert abs(judged_again.at - room.now()) < timedelta(minutes=1)
    assert all("facts" not in detail["decision"] for detail in heard)


def test_an_agent_that_only_suggests_pays_nobody_whatever_the_rules_say(room: Room) -> None:
    room.apply("rules: [{name: everything, decision: allow}]")
    run_id = room.play(replace(of(pay), autonomy=Autonomy.SUGGEST))

    assert room.error(run_id).endswith("agent payer acts under autonomy suggest")
    assert desk.world.effects == {}


def test_a_rejection_is_told_to_the_model_and_nothing_happens(room: Room) -> None:
    room.apply(ASK_FIRST)
    room.model(desk.SCRIPT)
    run_id = room.play(a_desk(), "Pay order 7")

    room.decide(run_id, "reject", reason="ask her first")

    assert results(room, run_id)[-1] == "policy_denied: rejected by system: ask her first"
    assert room.state(run_id) == "succeeded"
    assert list(desk.world.effects.values()) == ["noted seen"]


def test_an_approval_that_nobody_gives_expires_and_cannot_be_given_any_more(room: Room) -> None:
    room.apply(ASK_FIRST)
    run_id = room.play(of(pay))

    room.pass_time(run_id, 3700)

    assert room.error(run_id).endswith("nobody approved it in time")
    with pytest.raises(ApprovalNotOpen):
        room.ground.decide(room.ground.approvals(run_id)[0].id, "approve")
    assert desk.world.calls == []


def test_an_approval_does_not_overrule_a_policy_that_now_denies(room: Room) -> None:
    room.apply(ASK_FIRST)
    run_id = room.play(of(pay))
    room.apply("rules: [{name: nothing, decision: deny}]")

    room.decide(run_id, "approve")

    assert room.error(run_id).startswith("policy_denied")
    assert desk.world.calls == []


def test_one_call_that_waits_does_not_hold_up_the_others(room: Room) -> None:
    room.apply(ASK_FIRST)
    both = calls(("desk.pay", {"order": 1, "amount": 5}), ("desk.note", {"text": "meanwhile"}))
    room.model([both, "Both done."])
    run_id = room.play(a_desk(), "Do both")
    before = list(desk.world.effects.values())

    room.decide(run_id, "approve")

    assert before == ["noted meanwhile"]
    assert results(room, run_id) == ["paid 5 for 1", "noted meanwhile"]
    assert len(desk.world.calls) == 2


def test_several_approvals_may_be_decided_in_any_order(room: Room) -> None:
    room.apply(ASK_FIRST)

    async def node(ctx: Context) -> dict[str, Any]:
        paid = [ctx.tool("desk.pay", order=n, amount=n) for n in range(3)]
        return {"output": await asyncio.gather(*paid)}

    run_id = room.play(of(node))
    for approval in reversed(room.ground.approvals(run_id)):
        before = room.state(run_id)
        room.ground.decide(approval.id, "approve")
        room.go_on(run_id)
        assert before == "interrupted"

    assert room.output(run_id) == ["paid 0 for 0", "paid 1 for 1", "paid 2 for 2"]
    assert len(desk.world.calls) == 3


def test_without_tool_calls_left_the_run_pauses_and_a_raise_repeats_nothing(room: Room) -> None:
    room.model(desk.SCRIPT)
    run_id = room.play(a_desk(), "Pay order 7", budget=Limits(tool_calls=2))
    paused = room.run(run_id)
    asked = list(desk.world.calls)

    room.ground.raise_budget(run_id, Unit.TOOL_CALLS, 1)
    room.go_on(run_id)

    assert (paused.state, paused.reason) == ("paused", "budget")
    assert len(asked) == 1
    assert room.output(run_id) == {"answer": "Order 7 was paid."}
    assert len(desk.world.calls) == 2


def test_a_model_call_that_could_cost_too_much_is_never_sent(room: Room) -> None:
    price = Decimal(1000)
    model = room.model(["Hello."], input_per_million=price, output_per_million=price)

    run_id = room.play(a_desk(), "Hi", budget=Limits(cost=Decimal("0.01")))

    assert room.run(run_id).reason == "budget"
    assert model.heard == []
    assert room.ground.budget(run_id).reserved == Amounts()


def test_what_a_model_costs_is_booked_in_the_ledger_and_in_the_budget(room: Room) -> None:
    room.model(["Hello."], input_per_million=Decimal(1), output_per_million=Decimal(2))

    run_id = room.play(a_desk(), "Hi", budget=Limits(cost=Decimal(1)))

    balance, (effect,) = room.ground.budget(run_id), room.effects(run_id).values()
    assert balance.spent.cost == effect.cost > 0
    assert (balance.spent.model_calls, balance.reserved) == (1, Amounts())
    assert balance.spent.tokens > 0


def test_the_audit_log_calls_everybody_by_kind_and_name(room: Room) -> None:
    room.apply(ASK_FIRST)
    run_id = room.play(of(pay))
    room.ground.cancel(run_id)

    with room.scope():
        actors = set(AuditEvent.objects.values_list("actor", flat=True))

    assert {actor.partition(":")[0] for actor in actors} == {"worker", "system"}
    assert all(actor.partition(":")[2] for actor in actors)
