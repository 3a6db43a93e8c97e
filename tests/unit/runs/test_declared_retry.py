"""Retries as tools declare them: whatever the node says, and never for what is in doubt."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from policy.core.outcomes import ErrorClass
from policy.errors import InvalidRetry
from runs.agents import Context, Node, Program, RetryPolicy, graph
from runs.testing import Played, play
from tools.registry import ToolError, tool

PATIENT = RetryPolicy(max_attempts=6, base=timedelta(seconds=2))
failing: list[Exception] = []


def shaky() -> str:
    """Work, when nothing fails any more."""
    if failing:
        raise failing.pop()
    return "done"


tool("shaky.plain", effect="idempotent", risk="low")(shaky)
tool("shaky.patient", effect="idempotent", risk="low", retry=PATIENT)(shaky)
tool("shaky.once", effect="once", risk="low", retry=PATIENT)(shaky)
tool(
    "shaky.proud",
    effect="idempotent",
    risk="low",
    retry=RetryPolicy(not_for=frozenset({ErrorClass.TRANSIENT_DEPENDENCY})),
)(shaky)


def played(name: str, *failures: Exception, **node: Any) -> Played:
    async def main(ctx: Context) -> dict[str, Any]:
        return {"output": await ctx.tool(name)}

    failing[:] = failures
    shape = graph(Node(name="main", run=main, **node), start="main")
    return play(Program(name="a", version="1", graph=shape, tools=("shaky.*",)), None)


def busy(times: int) -> list[Exception]:
    return [ToolError("busy", error_class=ErrorClass.TRANSIENT_DEPENDENCY) for _ in range(times)]


def test_a_tool_that_declares_nothing_is_tried_as_the_node_says() -> None:
    assert played("shaky.plain", *busy(3)).state == "succeeded"
    assert played("shaky.plain", *busy(4)).state == "failed"
    assert played("shaky.plain", *busy(4), retry=RetryPolicy(max_attempts=5)).state == "succeeded"


def test_what_a_tool_declares_counts_whatever_the_node_says() -> None:
    impatient = RetryPolicy(max_attempts=1)

    run = played("shaky.patient", *busy(5), retry=impatient)

    assert run.state == "succeeded"
    assert played("shaky.patient", *busy(6), retry=impatient).state == "failed"
    assert run.effects[0].attempts == 6


def test_a_failure_that_is_not_for_retrying_ends_it_at_once() -> None:
    run = played("shaky.proud", *busy(1))

    assert (run.state, run.effects[0].attempts) == ("failed", 1)


def test_a_once_call_is_tried_again_where_it_is_known_not_to_have_happened() -> None:
    assert played("shaky.once", *busy(5)).state == "succeeded"


def test_a_once_call_in_doubt_is_never_tried_again() -> None:
    run = played("shaky.once", TimeoutError("nobody answered"))

    assert (run.state, len(run.calls)) == ("interrupted", 1)
    assert [a.kind for a in run.approvals] == ["outcome_unknown"]


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        ([1], "give an object of max_attempts"),
        (5, "give an object of max_attempts"),
        ({"attempts": 3}, "'attempts' is none of max_attempts"),
        ({"max_attempts": 0}, "max_attempts is 1 or more"),
        ({"max_attempts": "3"}, "a whole number"),
        ({"base": -1}, "base is a number of seconds"),
        ({"cap": float("nan")}, "cap is a number of seconds"),
        ({"base": 10, "cap": 5}, "and cap (0:00:05) no less"),
        ({"also": ["policy_denied"]}, "also is a list of"),
        ({"also": "timeout"}, "also is a list of"),
        ({"not_for": ["no such"]}, "not_for is a list of"),
    ],
)
def test_a_declaration_that_makes_no_sense_is_refused_by_its_part(raw: Any, told: str) -> None:
    with pytest.raises(InvalidRetry) as refused:
        RetryPolicy.of(raw)

    assert told in str(refused.value)


def test_what_is_written_down_is_read_back() -> None:
    raw = {"max_attempts": 6, "base": 2, "cap": 300, "also": ["auth_error"], "not_for": ["timeout"]}

    assert RetryPolicy.of(RetryPolicy.of(raw).to_json()) == RetryPolicy.of(raw)
    assert RetryPolicy.of({}) == RetryPolicy()
