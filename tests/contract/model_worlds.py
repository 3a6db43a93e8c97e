"""Models to try providers on: the scripted one, and a real HTTP endpoint in this process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol

from aiohttp import web

from gateway import complete as gateway
from gateway.complete import complete, quote
from gateway.core.messages import Message, ModelRequest, ToolOffer
from gateway.core.pricing import Price
from gateway.core.route import Route
from gateway.providers.base import Credential
from gateway.providers.openai import wire_name
from gateway.testing import ScriptedModel
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


def done(outcome: Outcome) -> Done:
    assert isinstance(outcome, Done), outcome
    return outcome


def refused(outcome: Outcome) -> tuple[ErrorClass, bool]:
    assert isinstance(outcome, Failed), outcome
    return outcome.error_class, outcome.in_doubt
