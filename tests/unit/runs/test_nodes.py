"""What agents' own code may do to the engine: nothing."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings

from policy.core.money import Limits
from policy.core.outcomes import ErrorClass, Failed
from policy.core.retry import RetryPolicy
from runs.agents import Channel, Context, Node, Program, Reducer, Send, Step, SyncContext, graph
from runs.testing import Played, play
from tests.unit.runs import desk
from tests.unit.runs.values import FOREIGN
from tools.errors import ToolError

APPROVE = """
rules:
  - {name: reads, decision: allow, effects: [read, idempotent]}
  - {name: payments, decision: require_approval, tools: desk.pay, expires_after: 1h}
"""


def of(run: Callable[..., Any], **change: Any) -> Program:
    nodes = [Node(name="main", run=run), Node(name="after", run=lambda _: {"output": "after"})]
    fields = {
        "name": "it",
        "version": "1",
        "tools": ("desk.*",),
        "graph": graph(*nodes, start="main", channels={"notes": Channel(reducer=Reducer.LOG)}),
    }
    return Program(**{**fields, **change})


def played(run: Callable[..., Any], **change: Any) -> Played:
    """Play an agent of one node."""
    return play(of(run), None, **change)


async def pay(ctx: Context) -> dict[str, Any]:
    return {"output": await ctx.tool("desk.pay", order=1, amount=5)}


# --- What a node returns ----------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(FOREIGN)
def test_whatever_a_node_writes_the_run_comes_to_an_end(value: Any) -> None:
    outcome = played(lambda _: {"output": value, "notes": [value]})

    assert outcome.state in {"succeeded", "failed"}
    assert outcome.state == "succeeded" or outcome.error.startswith("validation_error")


@settings(max_examples=30, deadline=None)
@given(FOREIGN)
def test_whatever_a_node_sends_the_run_comes_to_an_end(value: Any) -> None:
    outcome = played(lambda _: Step(next=(Send(node="after", arg=value),)))

    assert outcome.state in {"succeeded", "failed"}


@pytest.mark.parametrize(
    "returned",
    [
        7,
        "text",
        [1],
        {"nowhere": 1},
        {"notes": 7},
        {"output": float("nan")},
        {"output": object()},
        {"output": 10**400},
        Step(next="after"),  # type: ignore[arg-type]
        Step(next=("gone",)),
        Step(next=(7,)),  # type: ignore[arg-type]
        Step(writes=7),  # type: ignore[arg-type]
        Step(next=(Send(node="after", arg=object()),)),
    ],
)
def test_a_node_that_returns_nonsense_fails_its_run_by_name(returned: Any) -> None:
    outcome = played(lambda _: returned)

    assert outcome.state == "failed"
    assert outcome.error.startswith("validation_error")


def test_what_cannot_be_stored_as_it_is_is_stored_as_it_can() -> None:
    outcome = played(lambda _: {"output": ["a\0b\ud800", 2**80, (1, 2), {3: 4}]})

    assert outcome.output == ["a�b�", float(2**80), [1, 2], {"3": 4}]


def test_a_node_that_returns_nothing_ends_its_branch() -> None:
    assert played(lambda _: None).state == "succeeded"


# --- What a node raises -----------------------------------------------------------------------


class UntellableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("never")


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no\0way \ud800"),
        UntellableError(),
        SystemExit(3),
        RecursionError(),
        ExceptionGroup("many", [ValueError("one")]),
        TimeoutError(),
        asyncio.CancelledError(),
    ],
)
@pytest.mark.parametrize("is_async", [False, True])
def test_whatever_a_node_raises_fails_its_run_and_nothing_else(
    error: BaseException, *, is_async: bool
) -> None:
    def raising(_: SyncContext) -> None:
        raise error

    async def raising_later(_: Context) -> None:
        await asyncio.sleep(0)
        raise error

    outcome = played(raising_later if is_async else raising)

    assert outcome.state == "failed", outcome.events
    assert outcome.error.startswith("internal: main: ")


def test_a_child_task_that_exits_does_not_take_the_loop_with_it() -> None:
    async def exiting() -> None:
        sys.exit(1)

    async def node(_: Context) -> None:
        await asyncio.gather(exiting())

    assert played(node).state == "failed"


# --- A node that is put away ------------------------------------------------------------------


def test_a_node_that_catches_everything_still_waits_for_its_approval() -> None:
    async def node(ctx: Context) -> dict[str, Any]:
        try:
            return {"output": await ctx.tool("desk.pay", order=1, amount=5)}
        except BaseException:  # noqa: BLE001
            return {"output": "never mind"}

    outcome = played(node, policy=APPROVE)

    assert (outcome.state, outcome.reason) == ("interrupted", "approval")
    assert outcome.approve().output == "paid 5 for 1"


def test_a_task_group_that_waits_for_a_person_goes_on_after_the_decision() -> None:
    async def node(ctx: Context) -> dict[str, Any]:
        async with asyncio.TaskGroup() as group:
            paid = group.create_task(ctx.tool("desk.pay", order=1, amount=5))
            noted = group.create_task(ctx.tool("desk.note", text="hello"))
        return {"output": [paid.result(), noted.result()]}

    outcome = played(node, policy=APPROVE)
    waiting = outcome.state
    outcome.approve()

    assert (waiting, outcome.output) == ("interrupted", ["paid 5 for 1", "noted hello"])
    assert sorted(call.name for call in outcome.calls) == ["desk.note", "desk.pay"]


def test_a_call_that_the_node_did_not_wait_for_is_finished_or_never_begun() -> None:
    children = []

    async def node(ctx: Context) -> dict[str, Any]:
        children.append(asyncio.create_task(ctx.tool("desk.note", text="forgotten")))
        await asyncio.sleep(0)
        children.append(asyncio.create_task(ctx.tool("desk.note", text="too late")))
        return {"output": "done"}

    outcome = played(node)

    assert outcome.output == "done"
    assert {effect.state for effect in outcome.effects} <= {"done"}
    assert len(outcome.calls) == len(outcome.effects) <= 1
    with contextlib.suppress(BaseException):
        [child.exception() for child in children if child.done()]


def test_a_node_that_asks_something_else_when_it_runs_again_is_told() -> None:
    turns = iter(range(10))

    async def node(ctx: Context) -> dict[str, Any]:
        await ctx.tool("desk.read", order=next(turns))
        return {"output": await ctx.tool("desk.pay", order=1, amount=5)}

    outcome = played(node, policy=APPROVE).approve()

    assert outcome.state == "failed"
    assert outcome.error.startswith("nondeterminism")
    assert [call.name for call in outcome.calls] == ["desk.read"]


# --- People -----------------------------------------------------------------------------------


def test_an_approved_call_is_made_once_and_a_rejected_one_never() -> None:
    approved = played(pay, policy=APPROVE).approve()
    rejected = played(pay, policy=APPROVE).reject("too much")

    assert (approved.state, len(approved.calls)) == ("succeeded", 1)
    assert (rejected.state, len(rejected.calls)) == ("failed", 0)
    assert rejected.error == (
        "policy_denied: main: desk.pay: policy_denied: rejected by tester: too much"
    )


def test_an_approval_that_nobody_gives_in_time_is_a_refusal() -> None:
    outcome = played(pay, policy=APPROVE).pass_time(timedelta(hours=2))

    assert outcome.error.endswith("nobody approved it in time")
    assert outcome.calls == []


def test_without_money_the_run_pauses_and_a_raise_repeats_nothing() -> None:
    async def node(ctx: Context) -> dict[str, Any]:
        await ctx.tool("desk.note", text="one")
        return {"output": await ctx.tool("desk.note", text="two")}

    outcome = played(node, budget=Limits(tool_calls=1))
    paused = (outcome.state, outcome.reason)
    outcome.raise_budget("tool_calls", 1)

    assert paused == ("paused", "budget")
    assert outcome.output == "noted two"
    assert len(outcome.calls) == 2


def test_money_that_a_sibling_gives_back_needs_no_raise() -> None:
    async def node(ctx: Context) -> dict[str, Any]:
        both = (ctx.model(text, max_tokens=100) for text in ("one", "two"))
        await asyncio.gather(*both)
        return {"output": "both were asked"}

    outcome = played(node, model=["an answer", "another"], budget=Limits(tokens=180))

    assert ("run.paused", "budget") in [(kind, data.get("reason")) for kind, data in outcome.events]
    assert outcome.output == "both were asked"


def test_a_run_cancelled_while_it_waits_withdraws_its_question() -> None:
    outcome = played(pay, policy=APPROVE).cancel()

    assert (outcome.state, outcome.approvals, outcome.calls) == ("cancelled", [], [])


def test_a_run_cancelled_while_it_works_asks_for_nothing_more() -> None:
    async def node(ctx: Context) -> dict[str, Any]:
        await ctx.tool("desk.pay", order=1, amount=5)
        await ctx.tool("desk.note", text="the stand-in cancels")
        with contextlib.suppress(BaseException):
            await ctx.tool("desk.read", order=1)
        return {"output": "never"}

    def cancelling(text: str) -> str:
        outcome.cancel()
        return text

    outcome = played(node, policy=APPROVE, tools={"desk.note": cancelling})
    outcome.approve()

    assert (outcome.state, outcome.output) == ("cancelled", None)
    assert [call.name for call in outcome.calls] == ["desk.pay", "desk.note"]


def test_past_its_deadline_a_waiting_run_expires() -> None:
    outcome = played(pay, policy=APPROVE, deadline=timedelta(minutes=5))

    outcome.pass_time(timedelta(minutes=6))

    assert outcome.state == "expired"
    assert outcome.approvals == []


# --- Tools that fail --------------------------------------------------------------------------


def failing(*errors: Exception) -> Callable[..., Any]:
    left = list(errors)

    def read(order: int) -> dict[str, int]:
        if left:
            raise left.pop(0)
        return {"order": order, "amount": 1}

    return read


async def reading(ctx: Context) -> dict[str, Any]:
    return {"output": await ctx.tool("desk.read", order=1)}


def test_a_failure_that_may_pass_is_tried_again_and_one_that_may_not_is_not() -> None:
    passing = played(reading, tools={"desk.read": failing(ConnectionError("away"))})
    lasting = played(reading, tools={"desk.read": failing(ValueError("bad"))})

    assert (passing.output, len(passing.calls)) == ({"order": 1, "amount": 1}, 2)
    assert (lasting.state, len(lasting.calls)) == ("failed", 1)
    assert lasting.error.startswith("permanent_dependency")


def test_attempts_end_and_keep_their_key() -> None:
    always = failing(*[ConnectionError("away")] * 9)
    program = of(
        reading,
        graph=graph(
            Node(name="main", run=reading, retry=RetryPolicy(max_attempts=3)), start="main"
        ),
    )

    outcome = play(program, None, tools={"desk.read": always})

    assert outcome.state == "failed"
    assert len(outcome.calls) == 3
    assert len({call.key for call in outcome.calls}) == 1


def test_a_once_tool_that_fails_in_doubt_is_put_to_a_person_and_not_repeated() -> None:
    def vanish(order: int, amount: int) -> str:  # noqa: ARG001 - the tool's parameters
        raise ToolError("the line went dead", in_doubt=True)

    outcome = played(pay, tools={"desk.pay": vanish})
    reason = outcome.reason
    outcome.happened("paid after all")

    assert (reason, outcome.output) == ("outcome_unknown", "paid after all")
    assert len(outcome.calls) == 1


def test_a_task_may_ask_for_no_more_than_its_node_declares() -> None:
    async def note_on(ctx: Context) -> None:
        for number in range(9):
            await ctx.tool("desk.note", text=f"note {number}")

    shape = graph(Node(name="main", run=note_on, max_effects=3), start="main")
    played = play(of(note_on, graph=shape), {})

    assert (played.state, played.error.split(":")[0]) == ("failed", "human_required")
    assert len(played.effects) == 3


def test_an_answer_that_makes_no_sense_is_asked_for_again_but_not_for_ever() -> None:
    nonsense = Failed(error_class=ErrorClass.VALIDATION_ERROR, detail="neither text nor calls")

    lines: Iterator[str | Failed] = iter([nonsense, "Done."])

    mended = play(desk.a_desk(), "Pay order 7", model=lambda _messages, _tools: next(lines))
    hopeless = play(desk.a_desk(), "Pay order 7", model=[nonsense] * 20)

    assert mended.state == "succeeded", mended.error
    assert mended.effects[0].attempts == 2
    assert (hopeless.state, hopeless.error.split(":")[0]) == ("failed", "validation_error")
    assert len(hopeless.effects) == 1
