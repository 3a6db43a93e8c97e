"""Small workloads for tests: each builder states only what the test is about."""

from typing import Any

Json = dict[str, Any]


def a_tool(name: str = "save", **more: Any) -> Json:
    return {"name": name, "description": "", "parameters": {"type": "object"}, **more}


def an_action(name: str = "save", *, effects: list[Json] | None = None, **more: Any) -> Json:
    return {"name": name, "arguments": {}, "result": "ok", "effects": effects or [], **more}


def an_inc(*path: str | int, delta: float = 1, **more: Any) -> Json:
    return {"op": "inc", "path": list(path), "delta": delta, **more}


def a_task(*actions: Json, **more: Any) -> Json:
    return {"id": "t", "user_instructions": "please", "actions": list(actions), **more}


def a_file(*tasks: Json, tools: list[Json] | None = None) -> Json:
    return {"tools": tools if tools is not None else [a_tool()], "tasks": list(tasks)}
