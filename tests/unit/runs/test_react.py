from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from gateway.testing import Line, ScriptedModel
from policy.core.outcomes import ErrorClass, Failed
from runs.agents.react import settings_of
from runs.errors import InvalidInput
from runs.testing import Played, calls, play
from tests.unit.runs.desk import SCRIPT, a_desk, play_desk


def tool_results(played: Played) -> list[Any]:
    return [m["content"] for m in played.messages if m["role"] == "tool"]


def test_a_model_that_asks_for_nothing_answers_at_once() -> None:
    played = play(a_desk(), "Hello", model=["Good day."])

    assert (played.state, played.output) == ("succeeded", {"answer": "Good day."})


def test_results_come_back_in_the_order_of_the_calls() -> None:
    played = play_desk()

    assert played.output == {"answer": "Order 7 was paid."}
    assert tool_results(played) == [
        '{"amount":47,"order":7}',
        "noted seen",
        "paid 47 for 7",
    ]


def test_the_model_is_told_of_granted_tools_only() -> None:
    model = ScriptedModel(["Nothing to do."])

    play(a_desk(tools=("desk.read", "nowhere.*")), "Hello", model=model)

    assert [offer.name for offer in model.heard[0].tools] == ["desk.read"]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (("no.such_tool", {}), "validation_error: there is no tool named 'no.such_tool'"),
        (("x" * 5000, {}), "validation_error: there is no tool named"),
        (("desk.read", {"order": "seven"}), "validation_error: /order: 'seven' is not of type"),
        (("desk.read", {}), "validation_error: /: 'order' is a required property"),
        (("desk.read", {"order": 2**70}), "validation_error: /order: Unable to parse"),
    ],
)
def test_what_a_model_asks_for_wrongly_comes_back_to_it_as_data(asked: Any, told: str) -> None:
    played = play(a_desk(), "Hello", model=[calls(asked), "I see."])

    assert played.state == "succeeded", played.error
    assert tool_results(played)[0].startswith(told)


def test_arguments_that_are_no_object_come_back_to_the_model_as_data() -> None:
    wrong = {"content": "", "tool_calls": [{"name": "desk.read", "arguments": "{order: 7"}]}

    played = play(a_desk(), "Hello", model=[wrong, "I see."])

    assert played.state == "succeeded"
    assert tool_results(played) == ["validation_error: the arguments are not a JSON object"]


def test_a_tool_that_is_not_granted_is_denied_and_the_model_is_told() -> None:
    played = play(
        a_desk(tools=("desk.read",)),
        "Hello",
        model=[calls(("desk.pay", {"order": 1, "amount": 1})), "I see."],
    )

    assert tool_results(played) == ["policy_denied: desk.pay is not granted to agent desk"]
    assert played.calls == []


def test_an_agent_that_goes_in_circles_is_stopped() -> None:
    again = calls(("desk.read", {"order": 7}))

    played = play(a_desk(max_repeats=3), "Hello", model=lambda _m, _t: again)

    assert played.state == "failed"
    assert played.error.startswith("human_required")
    assert len(played.calls) == 3


def test_an_agent_that_gets_different_results_is_not_stopped() -> None:
    results = iter(range(100))

    def asks(messages: Any, _: Any) -> Line:
        return calls(("desk.read", {"order": 7})) if len(messages) < 12 else "Done."

    def differently(order: int) -> dict[str, int]:
        return {"order": order, "amount": next(results)}

    played = play(a_desk(max_repeats=3), "Hello", model=asks, tools={"desk.read": differently})

    assert played.state == "succeeded", played.error


def test_an_agent_that_never_ends_is_stopped_by_its_bound() -> None:
    def asks(messages: Any, _: Any) -> Any:
        return calls(("desk.read", {"order": len(messages)}))

    played = play(a_desk(max_super_steps=8), "Hello", model=asks)

    assert (played.state, played.super_steps) == ("failed", 8)
    assert "max_super_steps" in played.error


def test_a_model_that_fails_for_good_fails_the_run_with_its_class() -> None:
    gone = Failed(error_class=ErrorClass.AUTH_ERROR, detail="the key is wrong")

    played = play(a_desk(), "Hello", model=[gone])

    assert (played.state, played.error) == (
        "failed",
        "auth_error: think: model fast: auth_error: the key is wrong",
    )


def test_a_model_that_fails_for_a_moment_is_asked_again_later() -> None:
    slow_down = Failed(error_class=ErrorClass.RATE_LIMITED, detail="slow down")
    answers: Iterator[Line] = iter([slow_down, "At last."])
    began = play(a_desk(), "Hello", model=["x"]).clock.now

    def answer(_messages: Any, _tools: Any) -> Line:
        return next(answers)

    played = play(a_desk(), "Hello", model=answer)

    assert played.output == {"answer": "At last."}
    assert [(e.state, e.attempts) for e in played.effects] == [("done", 2)]
    assert played.clock.now > began
    assert "run.waiting" in [kind for kind, _ in played.events]


@pytest.mark.parametrize("wrong", ["", {}, [], 7, None, {"message": 7}])
def test_an_input_that_says_nothing_is_refused(wrong: Any) -> None:
    with pytest.raises(InvalidInput):
        play(a_desk(), wrong, model=SCRIPT)


def test_a_version_in_the_database_needs_no_more_than_a_model() -> None:
    assert settings_of({"model": "fast"}).tools == ()
