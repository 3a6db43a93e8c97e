"""The tool server: the service that a workload's tools belong to, as a process of its own.

It speaks MCP over streamable HTTP at `/mcp`, and keeps its own records and its own ledger of
effects (`books`), so that what really happened is known outside the product. A call takes
`--latency` seconds and its effect happens in the middle of them. Once a call came in it runs
to its end, whether or not anyone still listens.

The other paths are the player's and the judge's: they say which run plays which task, and look
into the books.
"""

import argparse
import asyncio
import json
import os
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import mcp_types as types
import uvicorn
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.shared.exceptions import MCPError
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from agentops.play.books import Answer, Books, Call
from agentops.play.records import storable
from agentops.play.run_map import RunMap, RunUnknownError
from agentops.play.workload import Tool, Workload, load

RUN_META = "agentops/run"
KEY_META = "agentops/idempotency_key"
TOOL_KEY = "AGENTOPS_PLAY_TOOL_KEY"
ADMIN_KEY = "AGENTOPS_PLAY_ADMIN_KEY"
BOOKS = "books.sqlite3"
PATIENCE = 20.0
LARGEST_BODY = 64 * 1024 * 1024

Context = ServerRequestContext[Any, Any]


class Service:
    """The calls under way, on top of the books."""

    def __init__(self, workload: Workload, books: Books, *, latency: float) -> None:
        self.workload, self.books = workload, books
        self.runs = RunMap(books.runs(), patience=PATIENCE)
        self._latency = latency
        self._under_way: dict[asyncio.Task[Answer], Call] = {}

    async def name_run(self, run: str, task: int) -> None:
        """Let a run play a task, from now on and after a restart."""
        self.books.register(run, task)
        await self.runs.name(run, task)

    async def call(self, call: Call) -> Answer:
        """Answer a call. It goes on to its end even when the caller is gone.

        Raises:
            RunUnknownError: nobody has said which task the run plays.
        """
        work = asyncio.create_task(self._work(call))
        self._under_way[work] = call
        work.add_done_callback(self._under_way.pop)
        return await asyncio.shield(work)

    async def _work(self, call: Call) -> Answer:
        task = await self.runs.task_of(call.run)
        await asyncio.sleep(self._latency / 2)
        answer = self.books.answer(call, task)
        await asyncio.sleep(self._latency / 2)
        return answer

    async def look_up(self, run: str, key: str) -> Answer | None:
        """Say what a call was answered, once nothing under that key is under way any more."""
        same = [
            work for work, call in self._under_way.items() if (call.run, call.key) == (run, key)
        ]
        if same:
            await asyncio.wait(same)
        return self.books.look_up(run, key)


def mcp_server(service: Service) -> Server[Any]:
    """Return the MCP face of the service."""
    offered = [_offered(tool) for tool in service.workload.tools]
    schemas = {tool.offered: tool.parameters for tool in service.workload.tools}
    names = {tool.offered: tool.name for tool in service.workload.tools}

    async def list_tools(
        _context: Context, _params: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        return types.ListToolsResult(tools=offered)

    async def call_tool(
        _context: Context, params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        try:
            return _result(await service.call(_call(params, names)))
        except RunUnknownError as error:
            raise MCPError(types.INTERNAL_ERROR, f"run {error} plays no task here") from error

    return Server(
        "play",
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        get_tool_input_schema=schemas.get,
    )


def _offered(tool: Tool) -> types.Tool:
    return types.Tool(
        name=tool.offered,
        description=tool.description,
        input_schema=tool.parameters,
        annotations=types.ToolAnnotations(read_only_hint=not tool.mutates),
    )


def _call(params: types.CallToolRequestParams, names: Mapping[str, str]) -> Call:
    meta: Mapping[str, Any] = params.meta or {}
    run, key = meta.get(RUN_META), meta.get(KEY_META)
    if not isinstance(run, str) or not isinstance(key, str | None):
        raise MCPError(types.INVALID_PARAMS, f"_meta must name the run as a text in {RUN_META}")
    name = names.get(params.name, params.name)
    return Call(run=run, name=name, arguments=params.arguments or {}, key=key)


def _result(answer: Answer) -> types.CallToolResult:
    """Put an answer into MCP's terms: a text goes as it is, another value also structured.

    Half a character is no text in MCP, and goes as U+FFFD.
    """
    if answer.error is not None:
        content = types.TextContent(type="text", text=storable(answer.error))
        return types.CallToolResult(content=[content], is_error=True)
    value = storable(answer.result)
    text = value if isinstance(value, str) else json.dumps(value)
    structured = None if isinstance(value, str) else value
    content = types.TextContent(type="text", text=text)
    return types.CallToolResult(content=[content], structured_content=structured)


def _json(value: Any, status_code: int = 200) -> Response:
    """Answer in ASCII: what a workload holds may have halves of characters, which UTF-8 has not."""
    return Response(json.dumps(value), status_code=status_code, media_type="application/json")


class Admin:
    """What the player and the judge may ask."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/runs", self.name_run, methods=["POST"]),
            Route("/runs", self.runs, methods=["GET"]),
            Route("/ledger", self.ledger),
            Route("/records/{task:int}", self.records),
            Route("/calls", self.calls),
            Route("/outcome", self.outcome),
        ]

    async def name_run(self, request: Request) -> Response:
        body = await request.json()
        if not 0 <= body["task"] < len(self._service.workload.tasks):
            return _json({"error": f"no task {body['task']}"}, status_code=404)
        await self._service.name_run(body["run_id"], body["task"])
        return Response(status_code=204)

    async def runs(self, _request: Request) -> Response:
        return _json(self._service.books.runs())

    async def ledger(self, _request: Request) -> Response:
        return _json([asdict(row) for row in self._service.books.ledger()])

    async def records(self, request: Request) -> Response:
        try:
            return _json(self._service.books.records(request.path_params["task"]))
        except LookupError as error:
            return _json({"error": str(error)}, status_code=404)

    async def calls(self, _request: Request) -> Response:
        return _json(self._service.books.counts())

    async def outcome(self, request: Request) -> Response:
        asked = request.query_params
        answer = await self._service.look_up(asked["run"], asked["key"])
        return _json({"happened": False} if answer is None else _happened(answer))


def _happened(answer: Answer) -> dict[str, Any]:
    return {"happened": True, "result": answer.result, "error": answer.error}


class Doors:
    """Only lets in who holds the key: the tools' key for `/mcp`, the admin's for the rest."""

    def __init__(self, app: ASGIApp, *, tool_key: str, admin_key: str) -> None:
        self._app, self._tool_key, self._admin_key = app, tool_key, admin_key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] != "/health":
            key = self._tool_key if scope["path"] == "/mcp" else self._admin_key
            shown = Headers(scope=scope).get("authorization", "")
            if not secrets.compare_digest(shown.encode(), f"Bearer {key}".encode()):
                answer = _json({"error": "wrong key"}, status_code=401)
                return await answer(scope, receive, send)
        return await self._app(scope, receive, send)


def application(service: Service, *, tool_key: str, admin_key: str) -> ASGIApp:
    """Return the whole server: MCP, the admin's paths, and the doors before them."""

    async def health(_request: Request) -> Response:
        return _json({"ok": True})

    server = mcp_server(service)
    app: Starlette = server.streamable_http_app(
        json_response=True, stateless_http=True, max_request_body_size=LARGEST_BODY
    )
    app.router.routes.extend([*Admin(service).routes(), Route("/health", health)])
    return Doors(app, tool_key=tool_key, admin_key=admin_key)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--workload", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--latency", type=float, default=0.0)
    parser.add_argument("--blunt", action="store_true")
    options = parser.parse_args(arguments)
    workload = load(options.workload)
    options.data.mkdir(parents=True, exist_ok=True)
    books = Books(options.data / BOOKS, workload, blunt=options.blunt, clock=time.time)
    service = Service(workload, books, latency=options.latency)
    app = application(service, tool_key=os.environ[TOOL_KEY], admin_key=os.environ[ADMIN_KEY])
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=options.port,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=2,
    )


if __name__ == "__main__":
    main()
