"""The model server: an OpenAI-compatible model that plays the workload's ideal agent.

One turn, one action: with n tool results in the conversation it asks for the n-th action of
the task, and after the last one it answers with text. It does not read the results, so a tool
error changes nothing: the ideal agent went on, too.

It keeps nothing but counts. The same conversation gets the same answer, however often it asks.
Token counts are real in the sense that they grow with what is sent: four UTF-8 bytes of JSON
to a token, rounded up.
"""

import argparse
import asyncio
import hashlib
import json
import os
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from aiohttp import web

from agentops.play.run_map import RunMap, RunUnknownError
from agentops.play.workload import JsonObject, Task, Workload, load

MODEL = "played"
MODEL_KEY = "AGENTOPS_PLAY_MODEL_KEY"
ADMIN_KEY = "AGENTOPS_PLAY_ADMIN_KEY"
PATIENCE = 20.0
LARGEST_BODY = 64 * 1024 * 1024
BYTES_PER_TOKEN = 4

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Problem(Exception):  # noqa: N818 - it is a problem that the caller has, not an error here
    """A request that a model server refuses, with the status and the reason."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


def turn(task: Task, conversation: JsonObject, names: Mapping[str, str]) -> JsonObject:
    """Return the ideal agent's next message; `names` are the names that tools are offered by."""
    position = sum(message.get("role") == "tool" for message in conversation["messages"])
    if position >= len(task.actions):
        return {"role": "assistant", "content": _farewell(task)}
    action = task.actions[position]
    name = names.get(action.name, action.name)
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {
                "id": f"call_{position}",
                "type": "function",
                "function": {
                    "name": _as_offered(name, conversation.get("tools") or []),
                    "arguments": json.dumps(action.arguments),
                },
            }
        ],
    }


def _farewell(task: Task) -> str:
    return f"Done: {len(task.actions)} actions for task {task.label}."


def _as_offered(name: str, tools: Sequence[JsonObject]) -> str:
    """Return a tool's name as the caller offers it: perhaps behind a prefix, before a digest."""
    offered = [str(tool.get("function", {}).get("name", "")) for tool in tools]
    if name in offered:
        return name
    dressed = re.compile(rf"(?:.*[^A-Za-z0-9])?{re.escape(name)}(?:_[0-9a-f]{{8}})?")
    return min((other for other in offered if dressed.fullmatch(other)), key=len, default=name)


def usage(conversation: JsonObject, message: JsonObject) -> dict[str, int]:
    """Count tokens: four UTF-8 bytes of JSON each, of what was sent and of what comes back."""
    sent = [conversation["messages"], conversation.get("tools") or []]
    prompt, completion = _tokens(sent), _tokens(message)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }


def _tokens(value: Any) -> int:
    size = len(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    return -(-size // BYTES_PER_TOKEN)


class Model:
    """The model behind the HTTP routes."""

    def __init__(self, workload: Workload, *, latency: float) -> None:
        self._tasks = workload.tasks
        self._names = {tool.name: tool.offered for tool in workload.tools}
        self._latency = latency
        self._runs = RunMap({}, patience=PATIENCE)
        self._asked: set[str] = set()
        self._calls = 0

    async def complete(self, request: web.Request) -> web.Response:
        """Answer one turn of a conversation."""
        conversation = _conversation(await _json(request))
        key = request.headers.get("Idempotency-Key", "")
        run = key.partition("/")[0]
        if not run:
            raise Problem(400, "the header Idempotency-Key must begin with the run's id")
        try:
            task = self._tasks[await self._runs.task_of(run)]
        except RunUnknownError:
            raise Problem(503, f"run {run} plays no task here") from None
        await asyncio.sleep(self._latency)
        self._calls += 1
        self._asked.add(key)
        message = turn(task, conversation, self._names)
        return web.json_response(_completion(conversation, message, key))

    async def models(self, _request: web.Request) -> web.Response:
        entry = {"id": MODEL, "object": "model", "created": 0, "owned_by": "play"}
        return web.json_response({"object": "list", "data": [entry]})

    async def name_run(self, request: web.Request) -> web.Response:
        body = await _json(request)
        if not 0 <= body["task"] < len(self._tasks):
            raise Problem(404, f"no task {body['task']}")
        await self._runs.name(body["run_id"], body["task"])
        return web.Response(status=204)

    async def calls(self, _request: web.Request) -> web.Response:
        repeated = self._calls - len(self._asked)
        return web.json_response({"calls": self._calls, "repeated": repeated})


def _conversation(body: Any) -> JsonObject:
    if not isinstance(body, dict) or not isinstance(body.get("messages"), list):
        raise Problem(400, "messages must be a list")
    if not all(isinstance(message, dict) for message in body["messages"]):
        raise Problem(400, "messages must be objects")
    if body.get("stream"):
        raise Problem(400, "this model does not stream")
    return body


def _completion(conversation: JsonObject, message: JsonObject, key: str) -> JsonObject:
    return {
        "id": f"chatcmpl-{hashlib.sha256(key.encode()).hexdigest()[:24]}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": conversation.get("model", MODEL),
        "choices": [
            {
                "index": 0,
                "message": message,
                "finish_reason": "tool_calls" if "tool_calls" in message else "stop",
            }
        ],
        "usage": usage(conversation, message),
    }


async def _json(request: web.Request) -> Any:
    try:
        return await request.json()
    except (ValueError, RecursionError):
        raise Problem(400, "the body is not JSON") from None


def doors(model_key: str, admin_key: str) -> Any:
    """Return what only lets in who holds the key, and tells problems as OpenAI does."""

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        key = model_key if request.path.startswith("/v1/") else admin_key
        try:
            if request.path != "/health":
                _let_in(request.headers.get("Authorization", ""), key)
            return await handler(request)
        except Problem as problem:
            error = {"message": problem.message, "type": "invalid_request_error", "code": None}
            return web.json_response({"error": error}, status=problem.status)

    return guarded


def _let_in(shown: str, key: str) -> None:
    given = shown.encode("utf-8", "surrogateescape")
    if not secrets.compare_digest(given, f"Bearer {key}".encode()):
        raise Problem(401, "Incorrect API key provided")


def application(model: Model, *, model_key: str, admin_key: str) -> web.Application:
    """Return the whole server."""

    async def health(_request: web.Request) -> web.Response:
        return web.json_response({"ok": True})

    app = web.Application(middlewares=[doors(model_key, admin_key)], client_max_size=LARGEST_BODY)
    app.router.add_post("/v1/chat/completions", model.complete)
    app.router.add_get("/v1/models", model.models)
    app.router.add_post("/runs", model.name_run)
    app.router.add_get("/calls", model.calls)
    app.router.add_get("/health", health)
    return app


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workload", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--latency", type=float, default=0.0)
    options = parser.parse_args(arguments)
    model = Model(load(options.workload), latency=options.latency)
    app = application(model, model_key=os.environ[MODEL_KEY], admin_key=os.environ[ADMIN_KEY])
    web.run_app(
        app,
        host="127.0.0.1",
        port=options.port,
        print=None,
        access_log=None,
        shutdown_timeout=2,
    )


if __name__ == "__main__":
    main()
