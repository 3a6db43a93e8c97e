"""People, money, time and refusals, through the real engine."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from gateway.testing import Line, calls
from policy.core.money import Amounts, Limits, Unit
from policy.core.outcomes import ErrorClass, Failed
from policy.errors import ApprovalNotOpen
from policy.models import Approval
from runs.advance import Advanced
from runs.agents import Context, Node, Program, graph
from runs.agents.react import ReactSettings, react
from runs.store import PostgresStore
from tests.integration.engine_room import Room
from tests.unit.runs import desk
from tools.errors import ToolError
from tools.registry import tool

ASK_FIRST = """
rules:
  - {name: reads, decision: allow, effects: [read, idempotent]}
  - {name: payments, decision: require_approval, tools: desk.pay, expires_after: 1h}
"""


@pytest.fixture(autouse=True)
def _new_world() -> None:
    desk.world.forget()


async def pay(ctx: Context) -> dict[str, Any]:
    return {"output": await ctx.tool("desk.pay", order=1, amount=5)}


def of(run: Any, name: str = "payer") -> Program:
    shape = graph(Node(name="main", run=run), start="main")
    return Program(name=name, version="1", graph=shape, tools=("desk.*", "flaky.*"))


def a_desk(**change: Any) -> Program:
    return react("desk", "1", ReactSettings(**{"model": "fast", "tools": ("desk.*",), **change}))


def results(room: Room, run_id: str) -> list[Any]:
    return [m["content"] for m in room.messages(run_id) if m["role"] == "tool"]


# --- Approvals --------------------------------------------------------------------------------


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


# --- Money ------------------------------------------------------------------------------------


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


# --- Cancelling, deadlines --------------------------------------------------------------------


def test_a_queued_run_is_cancelled_before_it_begins(room: Room) -> None:
    run_id = room.start(of(pay))
    room.ground.cancel(run_id)

    ended = room.drive()

    assert ended == [Advanced.HELD_ELSEWHERE]
    assert room.state(run_id) == "cancelled"


def test_a_run_that_waits_is_cancelled_with_its_question(room: Room) -> None:
    room.apply(ASK_FIRST)
    run_id = room.play(of(pay))

    room.ground.cancel(run_id)

    assert room.state(run_id) == "cancelled"
    assert [a.state for a in room.ground.approvals(run_id)] == ["withdrawn"]


def test_a_paused_run_is_cancelled(room: Room) -> None:
    run_id = room.play(of(pay), budget=Limits(tool_calls=0))

    room.ground.cancel(run_id)

    assert room.state(run_id) == "cancelled"


@pytest.mark.parametrize("is_stubborn", [False, True])
def test_a_run_at_work_is_cancelled_at_its_next_effect(room: Room, *, is_stubborn: bool) -> None:
    async def node(ctx: Context) -> dict[str, Any]:
        await ctx.tool("desk.note", text="before")
        await asyncio.to_thread(room.ground.cancel, ctx.run_id)
        with contextlib.suppress(BaseException if is_stubborn else ValueError):
            await ctx.tool("desk.note", text="after")
        return {"output": "never"}

    run_id = room.play(of(node))

    assert (room.state(run_id), room.output(run_id)) == ("cancelled", None)
    assert list(desk.world.effects.values()) == ["noted before"]
    assert [seen.state for seen in room.effects(run_id).values()] == ["done"]


def test_a_fanned_out_run_is_cancelled_when_its_tasks_notice(room: Room) -> None:
    two = calls(("desk.note", {"text": "one"}), ("desk.note", {"text": "two"}))
    room.model([two, "Done."])
    run_id = room.start(a_desk(), "Hi")
    engine = room.engine()
    while len(room.nudges) != 2:
        engine.advance(room.nudges.popleft())
    room.ground.cancel(run_id)

    room.drive()

    assert room.state(run_id) == "cancelled"
    assert desk.world.calls == []


def test_a_deadline_ends_a_node_in_the_middle_of_its_work(room: Room) -> None:
    async def node(ctx: Context) -> dict[str, Any]:
        await ctx.tool("desk.note", text="before")
        await asyncio.Event().wait()
        return {"output": "never"}

    run_id = room.play(of(node), deadline=timedelta(seconds=0.3))

    assert room.state(run_id) == "expired"
    assert [seen.state for seen in room.effects(run_id).values()] == ["done"]


def test_a_deadline_passes_for_a_run_that_waits(room: Room) -> None:
    room.apply(ASK_FIRST)
    run_id = room.play(of(pay), deadline=timedelta(minutes=10))

    room.pass_time(run_id, 601)

    assert room.state(run_id) == "expired"
    assert room.events(run_id)[-1] == "run.expired"


def test_a_run_that_is_begun_too_late_asks_for_nothing(room: Room) -> None:
    run_id = room.start(of(pay), deadline=timedelta(minutes=10))
    room.ground.pass_time(run_id, 601)

    room.drive()

    assert room.state(run_id) == "expired"
    assert desk.world.calls == []


# --- Failures ---------------------------------------------------------------------------------

failures: list[Exception] = []


@tool("flaky.read", effect="read", risk="low")
def flaky_read() -> str:
    """Fail as the test wants."""
    if failures:
        raise failures.pop(0)
    return "at last"


@tool("flaky.once", effect="once", risk="low")
def flaky_once() -> str:
    """Fail as the test wants, and never to be repeated."""
    return flaky_read()


async def reads(ctx: Context) -> dict[str, Any]:
    return {"output": await ctx.tool("flaky.read")}


def test_a_failure_that_may_pass_is_a_timer_in_the_database(room: Room) -> None:
    failures[:] = [ConnectionError("away"), ConnectionError("still away")]
    run_id = room.play(of(reads))
    waiting = room.run(run_id)

    room.pass_time(run_id, 300)
    room.pass_time(run_id, 300)

    assert (waiting.state, waiting.reason) == ("waiting", "timer")
    assert room.output(run_id) == "at last"
    (effect,) = room.effects(run_id).values()
    assert (effect.attempt, [a["attempt"] for a in effect.attempts]) == (3, [1, 2])


def test_a_failure_that_does_not_pass_ends_after_so_many_attempts(room: Room) -> None:
    failures[:] = [ConnectionError("away")] * 20
    run_id = room.play(of(reads))
    for _ in range(5):
        room.pass_time(run_id, 300)

    (effect,) = room.effects(run_id).values()
    assert (room.state(run_id), effect.attempt) == ("failed", 4)
    assert room.error(run_id).startswith("transient_dependency: main: flaky.read")
    failures.clear()


def test_a_call_in_doubt_that_must_not_be_repeated_waits_for_a_person(room: Room) -> None:
    failures[:] = [ToolError("the line went dead", in_doubt=True)]

    async def once(ctx: Context) -> dict[str, Any]:
        return {"output": await ctx.tool("flaky.once")}

    run_id = room.play(of(once))
    waiting = room.run(run_id)
    room.decide(run_id, "happened", result="it was done")

    assert (waiting.state, waiting.reason) == ("interrupted", "outcome_unknown")
    assert room.output(run_id) == "it was done"


def test_a_worker_that_died_in_a_once_call_leaves_it_to_a_person(room: Room) -> None:
    class Dead(BaseException):
        pass

    async def once(ctx: Context) -> dict[str, Any]:
        return {"output": await ctx.tool("desk.pay", order=1, amount=5)}

    run_id = room.start(of(once))
    store = PostgresStore(room.ground.pool, groups=False)

    def die(*_: Any, **__: Any) -> Any:
        raise Dead

    store.save = die  # type: ignore[method-assign]
    with pytest.raises(Dead):
        room.drive(room.engine(store=store))
    room.pass_time(run_id, 61)
    waiting = room.run(run_id)
    room.decide(run_id, "not_happened")

    assert (waiting.state, waiting.reason) == ("interrupted", "outcome_unknown")
    assert room.output(run_id) == "paid 5 for 1"
    assert len(desk.world.calls) == 2


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (("no.such", {}), "validation_error: there is no tool named 'no.such'"),
        (("x" * 3000, {}), "validation_error: there is no tool named"),
        (("desk.read", {"order": "seven"}), "validation_error: /order"),
        (("flaky.read", {}), "policy_denied: flaky.read is not granted to agent desk"),
    ],
)
def test_what_a_model_asks_for_wrongly_comes_back_to_it_as_data(
    room: Room, asked: Any, told: str
) -> None:
    room.model([calls(asked), "I see."])

    run_id = room.play(a_desk(), "Hi")

    assert room.state(run_id) == "succeeded"
    assert results(room, run_id)[0].startswith(told)


def test_a_model_that_goes_in_circles_is_stopped(room: Room) -> None:
    def again(_messages: Any, _tools: Any) -> Line:
        return calls(("desk.read", {"order": 7}))

    room.model(again)

    run_id = room.play(a_desk(max_repeats=3), "Hi")

    assert room.error(run_id).startswith("human_required: think: the same calls")


def test_a_model_that_fails_for_good_fails_the_run_with_its_class(room: Room) -> None:
    room.model([Failed(error_class=ErrorClass.AUTH_ERROR, detail="wrong key")])

    run_id = room.play(a_desk(), "Hi")

    assert room.error(run_id).startswith("auth_error: think: model fast")


def test_a_tenant_without_the_model_is_told_so(room: Room) -> None:
    run_id = room.play(a_desk(model="nowhere"), "Hi")

    assert room.error(run_id).startswith("validation_error: think: model nowhere")


def test_a_tenant_without_a_policy_is_allowed_nothing(room: Room) -> None:
    room.apply("rules: []")

    run_id = room.play(of(pay))

    assert room.error(run_id).startswith("policy_denied: main: desk.pay")
    assert desk.world.calls == []
