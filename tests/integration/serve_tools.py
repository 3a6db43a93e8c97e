"""A small MCP server to run as a process: `python serve_tools.py PORT [TOKEN]`."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import mcp_types as types
import uvicorn
from mcp.server.lowlevel.server import Server
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

NUMBER = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
ANY = {"type": "object"}
FOUND: dict[str, dict[str, Any]] = {
    "done": {"happened": True, "result": {"n": 8}},
    "lost": {"happened": False},
    "open": {"happened": None, "why": "ask tomorrow"},
    "odd": {"happened": "perhaps"},
}


async def list_tools(_context: Any, _params: Any) -> types.ListToolsResult:
    offered = [
        types.Tool(
            name="double", description="Twice n.", input_schema=NUMBER, output_schema=NUMBER
        ),
        types.Tool(
            name="wipe",
            input_schema=ANY,
            annotations=types.ToolAnnotations(read_only_hint=True, destructive_hint=True),
        ),
        types.Tool(name="not a name", input_schema=ANY),
        types.Tool(name="bad_schema", input_schema={"type": "object", "properties": 3}),
        *(types.Tool(name=name, input_schema=ANY) for name in ("sleep", "echo", "refuse", "lie")),
    ]
    return types.ListToolsResult(tools=offered)


async def call_tool(_context: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
    arguments: dict[str, Any] = params.arguments or {}
    match params.name:
        case "double":
            return answer({"n": arguments["n"] * 2})
        case "sleep":
            await asyncio.sleep(arguments["seconds"])
        case "refuse":
            content = types.TextContent(type="text", text="no such order")
            return types.CallToolResult(content=[content], is_error=True)
        case "find":
            return answer(FOUND[arguments["arguments"]["what"]])
        case "lie":
            return answer({"n": "many"})
        case "crash":
            raise KeyError("boom")
        case _:
            pass
    return answer({"arguments": arguments, "meta": dict(params.meta or {})})


def answer(value: dict[str, Any]) -> types.CallToolResult:
    content = types.TextContent(type="text", text="see the structure")
    return types.CallToolResult(content=[content], structured_content=value)


class Doors:
    """Lets in who shows the token, and answers as a broken server on /broken."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app, self._shown = app, f"Bearer {token}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        refused = self._refused(scope)
        if refused is not None:
            return await refused(scope, receive, send)
        return await self._app(scope, receive, send)

    def _refused(self, scope: Scope) -> Response | None:
        if Headers(scope=scope).get("authorization", "Bearer ") != self._shown:
            return PlainTextResponse("who are you?", 401)
        match scope["path"]:
            case "/busy":
                return PlainTextResponse("later", 429, {"retry-after": "7"})
            case "/broken":
                return PlainTextResponse("oops", 503)
            case "/nonsense":
                return PlainTextResponse("{", media_type="application/json")
            case _:
                return None


def main() -> None:
    port, *rest = sys.argv[1:]
    server: Server[Any] = Server("test", on_list_tools=list_tools, on_call_tool=call_tool)
    app = server.streamable_http_app(json_response=True, stateless_http=True)
    uvicorn.run(
        Doors(app, rest[0] if rest else ""), host="127.0.0.1", port=int(port), log_level="error"
    )


if __name__ == "__main__":
    main()
