"""What every provider promises: one suite for the scripted one and for a real HTTP endpoint."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from gateway.complete import complete, quote
from gateway.testing import ScriptedModel, calls
from policy.core.outcomes import ErrorClass
from tests.contract.model_worlds import (
    ASKED,
    HttpWorld,
    ScriptedWorld,
    World,
    a_request,
    done,
    refused,
    run,
)


@pytest.fixture(params=[ScriptedWorld, HttpWorld])
def world(request: pytest.FixtureRequest) -> World:
    made: World = request.param()
    return made


def test_a_text_is_the_assistants_message_with_its_use_and_price(world: World) -> None:
    outcome = done(world.says("All done."))

    assert outcome.value["role"] == "assistant"
    assert outcome.value["content"] == "All done."
    assert outcome.value["tool_calls"] == []
    assert outcome.value["finish_reason"] == "stop"
    assert outcome.usage.input_tokens > 0
    assert outcome.usage.cost == (
        3 * outcome.usage.input_tokens + 15 * outcome.usage.output_tokens
    ) / Decimal(1_000_000)
    assert outcome.usage.price_version == "p1"
    assert not outcome.usage.estimated


def test_a_tool_call_has_the_tools_own_name_and_its_arguments_read(world: World) -> None:
    (call,) = done(world.asks("crm.read", {"id": 7, "b": [1.5, None]})).value["tool_calls"]

    assert (call["name"], call["arguments"]) == ("crm.read", {"id": 7, "b": [1.5, None]})
    assert call["id"]


@pytest.mark.parametrize(
    "written", ["{id: 7}", "[1]", "7", '{"a": NaN}', '{"a": 1e999}', '{"a":' * 5000, "{"]
)
def test_arguments_that_are_no_object_come_as_the_model_wrote_them(
    world: World, written: str
) -> None:
    (call,) = done(world.asks("crm.read", written)).value["tool_calls"]

    assert call["arguments"] == written


def test_no_arguments_at_all_are_an_empty_object(world: World) -> None:
    (call,) = done(world.asks("crm.read", "")).value["tool_calls"]

    assert call["arguments"] == {}


def test_characters_that_cannot_be_stored_are_replaced_before_anybody_judges(world: World) -> None:
    assert done(world.says("a\0b")).value["content"] == "a\ufffdb"

    (call,) = done(world.asks("crm.read", {"id": "\0\ud800"})).value["tool_calls"]
    assert call["arguments"] == {"id": "\ufffd\ufffd"}


def test_an_answer_that_says_nothing_is_a_failure_that_was_paid_for(world: World) -> None:
    outcome = world.says("")

    assert refused(outcome) == (ErrorClass.VALIDATION_ERROR, False)
    assert outcome.usage.cost > 0


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (401, (ErrorClass.AUTH_ERROR, False)),
        (429, (ErrorClass.RATE_LIMITED, False)),
        (503, (ErrorClass.TRANSIENT_DEPENDENCY, True)),
    ],
)
def test_a_refusal_is_a_typed_failure(
    world: World, status: int, expected: tuple[ErrorClass, bool]
) -> None:
    assert refused(world.fails(status)) == expected


def test_a_model_that_hangs_is_left_in_doubt_and_settled_by_estimate(world: World) -> None:
    outcome = world.hangs()

    assert refused(outcome) == (ErrorClass.TIMEOUT, True)
    assert outcome.usage.estimated
    assert outcome.usage.cost > 0


def test_our_own_cancellation_goes_through() -> None:
    async def sleep(_messages: Any, _tools: Any) -> str:
        await asyncio.sleep(30)
        return "late"

    async def scene(model: ScriptedModel) -> None:
        request = a_request()
        asking = complete(request, quote(request, model.route), key="k", timeout=20)
        task = asyncio.ensure_future(asking)
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with ScriptedModel(sleep) as model:
        asyncio.run(scene(model))


def test_a_scripted_model_answers_by_the_turn_of_the_conversation() -> None:
    with ScriptedModel([calls(("crm.read", {"id": 7})), "Done."]) as model:
        first_request = a_request()
        first = done(
            run(
                lambda: complete(
                    first_request, quote(first_request, model.route), key="k", timeout=5
                )
            )
        )
        second_request = a_request(ASKED, first.value)
        second = done(
            run(
                lambda: complete(
                    second_request, quote(second_request, model.route), key="k", timeout=5
                )
            )
        )

    assert first.value["tool_calls"][0]["id"] == "call_0_0"
    assert second.value["content"] == "Done."
    assert [len(heard.messages) for heard in model.heard] == [1, 2]
