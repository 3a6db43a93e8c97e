"""What every provider promises: one suite for the scripted one and for a real HTTP endpoint."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol

import pytest
from aiohttp import web

from gateway import complete as gateway
from gateway.complete import complete, quote
from gateway.core.messages import Message, ModelRequest, ToolOffer
from gateway.core.pricing import Price
from gateway.core.route import Route
from gateway.providers.base import Credential
from gateway.providers.openai import wire_name
from gateway.testing import ScriptedModel, calls
from policy.core.outcomes import Done, ErrorClass, Failed, Outcome
from policy.secrets import Secret

PRICE = Price(version="p1", input_per_million=Decimal(3), output_per_million=Decimal(15))
ASKED: Message = {"role": "user", "content": "Look at order 7"}
READ = ToolOffer(
    name="crm.read",
    description="Look a customer up.",
    parameters={"type": "object", "properties": {"id": {"type": "integer"}}},
)


def a_request(*messages: Message, **change: Any) -> ModelRequest:
    return ModelRequest(model="fast", messages=messages or (ASKED,), tools=(READ,), **change)


def a_route(provider: str, model_id: str, base_url: str = "", timeout: float = 5) -> Route:
    return Route(
        name="fast",
        provider=provider,
        model_id=model_id,
        base_url=base_url,
        price=PRICE,
        timeout=timeout,
        max_tokens=1000,
    )


def run(scene: Callable[[], Awaitable[Outcome]]) -> Outcome:
    async def whole() -> Outcome:
        try:
            return await scene()
        finally:
            await gateway.close()

    return asyncio.run(whole())


class World(Protocol):
    """A model that says a text, or asks for a tool, whatever it is."""

    def says(self, text: str) -> Outcome: ...
    def asks(self, name: str, arguments: Any) -> Outcome: ...
    def fails(self, status: int) -> Outcome: ...
    def hangs(self) -> Outcome: ...


@dataclass
class ScriptedWorld:
    """The scripted provider."""

    statuses = {
        401: (ErrorClass.AUTH_ERROR, False),
        429: (ErrorClass.RATE_LIMITED, False),
        503: (ErrorClass.TRANSIENT_DEPENDENCY, True),
    }

    def _play(self, line: Any, timeout: float = 5) -> Outcome:
        with ScriptedModel(line, price=PRICE) as model:
            request = a_request()
            priced = quote(request, model.route)
            return run(lambda: complete(request, priced, key="k", timeout=timeout))

    def says(self, text: str) -> Outcome:
        return self._play([text])

    def asks(self, name: str, arguments: Any) -> Outcome:
        return self._play([{"tool_calls": [{"name": name, "arguments": arguments}]}])

    def fails(self, status: int) -> Outcome:
        error_class, in_doubt = self.statuses[status]
        return self._play([Failed(error_class=error_class, detail="no", in_doubt=in_doubt)])

    def hangs(self) -> Outcome:
        async def sleep(_messages: Any, _tools: Any) -> str:
            await asyncio.sleep(30)
            return "late"

        return self._play(sleep, timeout=0.2)


@dataclass
class Endpoint:
    """An OpenAI-compatible endpoint in this process, which answers what the test wants."""

    answer: Callable[[web.Request], Awaitable[web.StreamResponse]]
    heard: list[tuple[dict[str, str], Any]] = field(default_factory=list)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.heard.append((headers, await request.json()))
        return await self.answer(request)

    async def ask(self, request: ModelRequest, seconds: float, key: str = "r1/1/t/0") -> Outcome:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._serve)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        try:
            route = a_route("openai", "m1", f"http://127.0.0.1:{port}/v1")
            return await complete(
                request,
                quote(request, route),
                credential=Credential(Secret("sk-test")),
                key=key,
                timeout=seconds,
            )
        finally:
            await gateway.close()
            await runner.cleanup()

    def asked(self, *messages: Message, seconds: float = 5, **change: Any) -> Outcome:
        request = a_request(*messages, **change)
        return asyncio.run(self.ask(request, seconds))


def completion(message: dict[str, Any], **change: Any) -> dict[str, Any]:
    return {
        "id": "c1",
        "object": "chat.completion",
        "created": 1,
        "model": "m1-2026",
        "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120},
        **change,
    }


def answering(body: Any, status: int = 200, **headers: str) -> Endpoint:
    async def answer(_request: web.Request) -> web.Response:
        return web.json_response(body, status=status, headers=headers)

    return Endpoint(answer)


def called(name: str, arguments: str, **change: Any) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    call = {"id": "c1", "type": "function", "function": function, **change}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


@dataclass
class HttpWorld:
    """The OpenAI-compatible provider against a real endpoint."""

    def says(self, text: str) -> Outcome:
        return answering(completion({"role": "assistant", "content": text})).asked()

    def asks(self, name: str, arguments: Any) -> Outcome:
        text = arguments if isinstance(arguments, str) else json.dumps(arguments)
        return answering(completion(called(wire_name(name), text))).asked()

    def fails(self, status: int) -> Outcome:
        return answering({"error": {"message": "no"}}, status).asked()

    def hangs(self) -> Outcome:
        async def sleep(_request: web.Request) -> web.Response:
            await asyncio.sleep(30)
            return web.Response()

        return Endpoint(sleep).asked(seconds=0.5)


@pytest.fixture(params=[ScriptedWorld, HttpWorld])
def world(request: pytest.FixtureRequest) -> World:
    made: World = request.param()
    return made


def done(outcome: Outcome) -> Done:
    assert isinstance(outcome, Done), outcome
    return outcome


def refused(outcome: Outcome) -> tuple[ErrorClass, bool]:
    assert isinstance(outcome, Failed), outcome
    return outcome.error_class, outcome.in_doubt


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


@pytest.mark.parametrize("name", ["crm.read", "a" * 100, "a.b_c", "a_b.c", "x-y", "a b", "ü"])
def test_names_on_the_wire_are_what_vendors_take_and_differ(name: str) -> None:
    assert len(wire_name(name)) <= 64
    assert wire_name(name).replace("_", "").replace("-", "").isalnum()
    assert wire_name("a.b_c") != wire_name("a_b.c")
