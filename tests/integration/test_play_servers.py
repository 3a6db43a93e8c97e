"""The outside world alone: both servers as processes and the real clients, no product."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult
from openai import AsyncOpenAI, AuthenticationError, BadRequestError

from agentops.play.judge import Evidence, Verdict, judge
from agentops.play.workload import Task, Workload, load
from examples.workloads.make_parcel_desk import TARGET

KEYS = {
    "AGENTOPS_PLAY_TOOL_KEY": "tool-key",
    "AGENTOPS_PLAY_MODEL_KEY": "model-key",
    "AGENTOPS_PLAY_ADMIN_KEY": "admin-key",
}
ADMIN = {"Authorization": "Bearer admin-key"}


@dataclass
class World:
    """The two servers of one play."""

    workload: Workload
    data: Path
    tools_port: int
    model_port: int

    def tools_command(self, *options: str) -> list[str]:
        place = ["--data", str(self.data), "--port", str(self.tools_port)]
        return ["agentops.play.tool_server", "--workload", str(TARGET), *place, *options]

    def model_command(self) -> list[str]:
        place = ["--workload", str(TARGET), "--port", str(self.model_port)]
        return ["agentops.play.model_server", *place]

    def admin(self, path: str, port: int | None = None, **params: str) -> Any:
        url = f"http://127.0.0.1:{port or self.tools_port}{path}"
        return httpx2.get(url, headers=ADMIN, params=params).raise_for_status().json()

    def name_run(self, run: str, task: int) -> None:
        for port in (self.tools_port, self.model_port):
            body = {"run_id": run, "task": task}
            answer = httpx2.post(f"http://127.0.0.1:{port}/runs", json=body, headers=ADMIN)
            answer.raise_for_status()

    def verdict(self, states: dict[int, str]) -> Verdict:
        effects: dict[int, list[int]] = {}
        for row in self.admin("/ledger"):
            effects.setdefault(row["task"], []).append(row["action"])
        evidence = {
            task.index: Evidence(
                run_state=states.get(task.index, "not started"),
                records=self.admin(f"/records/{task.index}"),
                effects=tuple(effects.get(task.index, ())),
            )
            for task in self.workload.tasks
        }
        return judge(self.workload.tasks, evidence)


def a_free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


@contextmanager
def process(command: list[str], port: int) -> Iterator[subprocess.Popen[bytes]]:
    running = subprocess.Popen(  # noqa: S603 - our own command line
        [sys.executable, "-m", *command], env={**os.environ, **KEYS}
    )
    try:
        wait_for(port, running)
        yield running
    finally:
        running.send_signal(signal.SIGTERM)
        assert running.wait(10) in {0, -signal.SIGTERM, -signal.SIGKILL}


def wait_for(port: int, running: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until and running.poll() is None:
        try:
            httpx2.get(f"http://127.0.0.1:{port}/health").raise_for_status()
        except httpx2.TransportError:
            time.sleep(0.05)
        else:
            return
    pytest.fail("the server did not start")


@contextmanager
def a_world(data: Path, *options: str) -> Iterator[World]:
    world = World(load(TARGET), data, a_free_port(), a_free_port())
    with ExitStack() as stack:
        stack.enter_context(process(world.tools_command(*options), world.tools_port))
        stack.enter_context(process(world.model_command(), world.model_port))
        yield world


@contextmanager
def its_tools(data: Path, *options: str) -> Iterator[World]:
    world = World(load(TARGET), data, a_free_port(), 0)
    with process(world.tools_command(*options), world.tools_port):
        yield world


def meta_of(run: str, key: str) -> Any:
    return {"agentops/run": run, "agentops/idempotency_key": key}


class Desk:
    """A client of the tool server that acts for one run."""

    def __init__(self, client: Client, run: str) -> None:
        self.client, self.run = client, run

    async def call(self, name: str, arguments: dict[str, Any], key: str) -> CallToolResult:
        return await self.client.call_tool(name, arguments, meta=meta_of(self.run, key))


@asynccontextmanager
async def a_client(port: int) -> AsyncIterator[Client]:
    headers = {"Authorization": "Bearer tool-key"}
    async with httpx2.AsyncClient(headers=headers, timeout=60) as http:
        transport = streamable_http_client(f"http://127.0.0.1:{port}/mcp", http_client=http)
        async with Client(transport) as client:
            yield client


def note(world: World) -> tuple[int, dict[str, Any]]:
    """Return the task that adds the same note twice, and the arguments of that call."""
    task = next(task for task in world.workload.tasks if task.id == "two-notes")
    return task.index, task.actions[0].arguments


async def played_without_product(world: World, task: Task, client: Client) -> str:
    """Let model and tools talk to each other until the model has nothing more to ask."""
    run = f"run{task.index}"
    desk = Desk(client, run)
    model = AsyncOpenAI(
        base_url=f"http://127.0.0.1:{world.model_port}/v1", api_key="model-key", max_retries=0
    )
    messages: list[Any] = [{"role": "user", "content": task.request}]
    async with model:
        for turn in range(50):
            key = f"{run}/{turn}/model/0"
            answer = await model.chat.completions.create(
                model="played", messages=messages, extra_headers={"Idempotency-Key": key}
            )
            assert answer.usage is not None
            assert answer.usage.prompt_tokens > 0
            message = answer.choices[0].message
            if not message.tool_calls:
                return message.content or ""
            messages.append(message.model_dump(exclude_none=True))
            [call] = message.tool_calls
            assert call.type == "function"
            arguments = json.loads(call.function.arguments)
            result = await desk.call(call.function.name, arguments, f"{run}/{turn}/tools/0")
            [content] = result.content
            assert content.type == "text"
            messages.append({"role": "tool", "tool_call_id": call.id, "content": content.text})
    raise AssertionError("the model asks without end")


async def all_tasks(world: World) -> list[str]:
    async with a_client(world.tools_port) as client:
        plays = (played_without_product(world, task, client) for task in world.workload.tasks)
        return await asyncio.gather(*plays)


@pytest.mark.parametrize("options", [(), ("--blunt",), ("--latency", "0.05")])
def test_model_and_tools_play_every_task_right(tmp_path: Path, options: tuple[str, ...]) -> None:
    with a_world(tmp_path, *options) as world:
        for task in world.workload.tasks:
            world.name_run(f"run{task.index}", task.index)
        answers = asyncio.run(all_tasks(world))

        assert all(answer.startswith("Done") for answer in answers)
        verdict = world.verdict(dict.fromkeys(range(len(answers)), "succeeded"))
        assert verdict.wrong == ()
        assert verdict.counts()["writes_seen"] == world.workload.writes
        calls = sum(len(task.actions) for task in world.workload.tasks)
        assert world.admin("/calls")["answered"] == calls
        asked = world.admin("/calls", world.model_port)
        assert asked == {"calls": calls + len(world.workload.tasks), "repeated": 0}


def test_a_result_comes_as_it_is_and_an_error_as_a_tool_error(tmp_path: Path) -> None:
    async def calls(world: World) -> None:
        async with a_client(world.tools_port) as client:
            for task in world.workload.tasks:
                desk = Desk(client, f"r{task.index}")
                for place, action in enumerate(task.actions):
                    result = await desk.call(action.name, action.arguments, f"k{place}")
                    [content] = result.content
                    assert content.type == "text"
                    assert result.is_error is (action.error is not None)
                    if action.error is not None:
                        assert content.text == action.error
                    elif isinstance(action.result, str):
                        assert content.text == action.result
                    else:
                        assert json.loads(content.text) == action.result
                        assert result.structured_content == action.result

    with its_tools(tmp_path) as world:
        for task in world.workload.tasks:
            headers = ADMIN | {"content-type": "application/json"}
            body = json.dumps({"run_id": f"r{task.index}", "task": task.index})
            url = f"http://127.0.0.1:{world.tools_port}/runs"
            httpx2.post(url, content=body, headers=headers).raise_for_status()
        asyncio.run(calls(world))


def test_the_tools_are_listed_with_their_schemas(tmp_path: Path) -> None:
    async def listed(world: World) -> dict[str, Any]:
        async with a_client(world.tools_port) as client:
            assert client.protocol_version == "2026-07-28"
            return {tool.name: tool.input_schema for tool in (await client.list_tools()).tools}

    with its_tools(tmp_path) as world:
        expected = {tool.name: tool.parameters for tool in world.workload.tools}
        assert asyncio.run(listed(world)) == expected


def test_a_call_waits_for_its_run_to_be_named(tmp_path: Path) -> None:
    async def call_before_name(world: World) -> CallToolResult:
        index, arguments = note(world)
        async with a_client(world.tools_port) as client:
            early = asyncio.create_task(Desk(client, "late").call("add_note", arguments, "k"))
            await asyncio.sleep(0.3)
            assert not early.done()
            await asyncio.to_thread(world.name_run, "late", index)
            return await early

    with a_world(tmp_path) as world:
        assert not asyncio.run(call_before_name(world)).is_error


def test_a_killed_server_knows_everything_when_it_is_back(tmp_path: Path) -> None:
    async def noted(world: World, key: str) -> None:
        async with a_client(world.tools_port) as client:
            assert not (await Desk(client, "r").call("add_note", note(world)[1], key)).is_error

    with its_tools(tmp_path) as world:
        index, _ = note(world)
        httpx2.post(
            f"http://127.0.0.1:{world.tools_port}/runs",
            json={"run_id": "r", "task": index},
            headers=ADMIN,
        ).raise_for_status()
        asyncio.run(noted(world, "k1"))
    with process(world.tools_command(), world.tools_port) as running:
        running.kill()
    with process(world.tools_command(), world.tools_port):
        asyncio.run(noted(world, "k1"))
        asyncio.run(noted(world, "k2"))

        assert [row["key"] for row in world.admin("/ledger")] == ["k1", "k2"]
        assert world.admin("/calls") == {"calls": 3, "answered": 2, "replayed": 1, "effects": 2}
        assert world.admin("/outcome", run="r", key="k1") == {
            "happened": True,
            "result": "noted",
            "error": None,
        }


def test_a_call_whose_caller_is_gone_still_happens_and_the_books_wait_for_it(
    tmp_path: Path,
) -> None:
    async def abandoned(world: World) -> None:
        async with a_client(world.tools_port) as client:
            with pytest.raises(MCPError, match=r"[Tt]imed out"):
                await client.call_tool("add_note", note(world)[1], 0.3, meta=meta_of("gone", "k"))

    with a_world(tmp_path, "--latency", "2", "--blunt") as world:
        world.name_run("gone", note(world)[0])
        asyncio.run(abandoned(world))

        assert world.admin("/ledger") == []
        assert world.admin("/outcome", run="gone", key="k")["happened"] is True
        assert len(world.admin("/ledger")) == 1
        assert world.admin("/outcome", run="gone", key="other") == {"happened": False}


def test_nobody_gets_in_without_the_key(tmp_path: Path) -> None:
    async def intrude(world: World) -> None:
        model = AsyncOpenAI(base_url=f"http://127.0.0.1:{world.model_port}/v1", api_key="wrong")
        async with model:
            with pytest.raises(AuthenticationError, match="Incorrect API key"):
                await model.models.list()

    with a_world(tmp_path) as world:
        asyncio.run(intrude(world))
        for port, path in ((world.tools_port, "/ledger"), (world.model_port, "/calls")):
            for shown in ({}, {"Authorization": "Bearer tool-key"}):
                url = f"http://127.0.0.1:{port}{path}"
                assert httpx2.get(url, headers=shown).status_code == 401
        assert (
            httpx2.post(f"http://127.0.0.1:{world.tools_port}/mcp", headers=ADMIN).status_code
            == 401
        )


def test_a_request_the_model_cannot_take_is_refused_in_its_own_terms(tmp_path: Path) -> None:
    async def asked(world: World) -> None:
        model = AsyncOpenAI(
            base_url=f"http://127.0.0.1:{world.model_port}/v1", api_key="model-key", max_retries=0
        )
        async with model:
            assert [entry.id async for entry in model.models.list()] == ["played"]
            with pytest.raises(BadRequestError, match="Idempotency-Key"):
                await model.chat.completions.create(model="played", messages=[])
            with pytest.raises(BadRequestError, match="stream"):
                await model.chat.completions.create(model="played", messages=[], stream=True)

    with a_world(tmp_path) as world:
        asyncio.run(asked(world))
        url = f"http://127.0.0.1:{world.model_port}/v1/chat/completions"
        for body in (b"{", b"[]", b'{"messages": [1]}', b'{"messages": 1}'):
            key = {"Authorization": "Bearer model-key"}
            assert httpx2.post(url, content=body, headers=key).status_code == 400
