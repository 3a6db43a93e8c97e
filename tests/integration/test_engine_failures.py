"""What fails, is refused or is in doubt, through the real engine."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.testing import Line, calls
from policy.core.outcomes import ErrorClass, Failed
from runs.agents import Context
from runs.models import Effect
from runs.store import PostgresStore
from tests.integration.desk_agents import (
    a_desk,
    of,
    pay,
    results,
)
from tests.integration.engine_room import Room
from tests.unit.runs import desk
from tools.errors import ToolError
from tools.registry import tool


@pytest.fixture(autouse=True)
def _new_world() -> None:
    desk.world.forget()


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

    assert room.error(run_id).startswith("human_required: the same calls")


def test_a_model_is_asked_as_often_as_it_declares_and_the_ledger_says_so(room: Room) -> None:
    busy = Failed(error_class=ErrorClass.TRANSIENT_DEPENDENCY, detail="busy")
    room.model([busy, busy, "Too late."], retry={"max_attempts": 2, "base": 0.5})

    run_id = room.play(a_desk(), "Hi")
    room.pass_time(run_id, 5)

    assert room.error(run_id).startswith("transient_dependency: ")
    with room.scope():
        (asked,) = Effect.objects.filter(run_id=run_id)
    assert (asked.attempt, asked.decision["retry"]["max_attempts"]) == (2, 2)


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
