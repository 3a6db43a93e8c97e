"""What an OpenAI-compatible endpoint may answer, and what it hears."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest
from aiohttp import web

from gateway.complete import complete, quote
from gateway.providers.openai import wire_name
from policy.core.outcomes import ErrorClass, Failed
from tests.contract.model_worlds import (
    ASKED,
    Endpoint,
    HttpWorld,
    a_request,
    a_route,
    answering,
    called,
    completion,
    done,
    refused,
    run,
)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, (ErrorClass.PERMANENT_DEPENDENCY, False)),
        (403, (ErrorClass.AUTH_ERROR, False)),
        (404, (ErrorClass.PERMANENT_DEPENDENCY, False)),
        (408, (ErrorClass.TIMEOUT, True)),
        (422, (ErrorClass.PERMANENT_DEPENDENCY, False)),
        (500, (ErrorClass.TRANSIENT_DEPENDENCY, True)),
        (504, (ErrorClass.TIMEOUT, True)),
    ],
)
def test_every_status_has_its_class(status: int, expected: tuple[ErrorClass, bool]) -> None:
    assert refused(HttpWorld().fails(status)) == expected


def test_the_endpoint_says_how_long_to_wait_and_is_asked_once() -> None:
    endpoint = answering({"error": {"message": "slow down"}}, 429, **{"Retry-After": "7"})

    outcome = endpoint.asked()

    assert isinstance(outcome, Failed)
    assert outcome.retry_after == 7
    assert "slow down" in outcome.detail
    assert len(endpoint.heard) == 1


@pytest.mark.parametrize(
    "body",
    [
        "text",
        None,
        {},
        [],
        {"choices": []},
        {"choices": None},
        completion({"role": "assistant", "content": 7}),
        completion({"role": "assistant", "content": None, "tool_calls": [{"id": 1}]}),
        completion(called("x", "{}"), choices=[{"message": "hello"}]),
        {"error": {"message": "in a 200"}},
    ],
)
def test_nonsense_in_an_answer_is_a_validation_error(body: Any) -> None:
    outcome = answering(body).asked()

    assert refused(outcome)[0] is ErrorClass.VALIDATION_ERROR, outcome


def test_an_answer_that_is_no_json_is_a_validation_error() -> None:
    async def html(_request: web.Request) -> web.Response:
        return web.Response(text="<html>", content_type="text/html")

    async def half(_request: web.Request) -> web.Response:
        return web.Response(text='{"choices": [', content_type="application/json")

    for answer in (html, half):
        assert refused(Endpoint(answer).asked())[0] is ErrorClass.VALIDATION_ERROR


def test_an_answer_without_usage_is_settled_by_estimate() -> None:
    outcome = done(answering(completion({"role": "assistant", "content": "x"}, usage=None)).asked())

    assert outcome.usage.estimated
    assert outcome.usage.input_tokens > 0


def test_an_endpoint_that_breaks_off_is_in_doubt() -> None:
    async def break_off(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async def half(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b'{"id"')
        assert request.transport is not None
        request.transport.abort()
        return response

    for answer in (break_off, half):
        outcome = Endpoint(answer).asked()
        assert refused(outcome) == (ErrorClass.TRANSIENT_DEPENDENCY, True)
        assert isinstance(outcome, Failed)
        assert outcome.usage.estimated


def test_an_endpoint_that_is_not_there_did_nothing() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    route = a_route("openai", "m1", f"http://127.0.0.1:{port}/v1")
    request = a_request()

    outcome = run(lambda: complete(request, quote(request, route), key="k", timeout=5))

    assert refused(outcome) == (ErrorClass.TRANSIENT_DEPENDENCY, False)
    assert outcome.usage.cost == 0


def test_an_endpoint_hears_the_whole_conversation_the_key_and_the_bound() -> None:
    endpoint = answering(completion({"role": "assistant", "content": "x"}))
    endpoint.asked(
        ASKED,
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "c1", "name": "crm.read", "arguments": {"id": 7}}],
        },
        {"role": "tool", "tool_call_id": "c1", "name": "crm.read", "content": '{"name": "Ann"}'},
        system="Be kind.",
        max_tokens=50,
        temperature=0.5,
    )

    ((headers, body),) = endpoint.heard
    assert headers["idempotency-key"] == "r1/1/t/0"
    assert headers["authorization"] == "Bearer sk-test"
    assert [m["role"] for m in body["messages"]] == ["system", "user", "assistant", "tool"]
    assert json.loads(body["messages"][2]["tool_calls"][0]["function"]["arguments"]) == {"id": 7}
    assert body["messages"][3]["content"] == '{"name": "Ann"}'
    assert body["tools"][0]["function"]["name"] == "crm_read"
    assert body["tools"][0]["function"]["parameters"]["properties"] == {"id": {"type": "integer"}}
    assert (body["max_tokens"], body["temperature"], body["model"]) == (50, 0.5, "m1")


def test_two_calls_of_one_id_are_told_apart() -> None:
    message = called("crm_read", "{}")
    message["tool_calls"] *= 2

    calls_made = done(answering(completion(message)).asked()).value["tool_calls"]

    assert len({call["id"] for call in calls_made}) == 2


def test_a_refusal_of_the_model_is_final() -> None:
    message = {"role": "assistant", "content": None, "refusal": "I will not"}

    outcome = answering(completion(message)).asked()

    assert refused(outcome) == (ErrorClass.PERMANENT_DEPENDENCY, False)
    assert isinstance(outcome, Failed)
    assert "I will not" in outcome.detail


@pytest.mark.parametrize("name", ["crm.read", "a" * 100, "a.b_c", "a_b.c", "x-y", "a b", "ü"])
def test_names_on_the_wire_are_what_vendors_take_and_differ(name: str) -> None:
    assert len(wire_name(name)) <= 64
    assert wire_name(name).replace("_", "").replace("-", "").isalnum()
    assert wire_name("a.b_c") != wire_name("a_b.c")
