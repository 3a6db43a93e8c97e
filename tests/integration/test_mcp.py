"""Tools of a real MCP server, which also hangs, lies, refuses and dies."""

from __future__ import annotations

import asyncio
import http.client
import socket
import subprocess
import sys
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import pytest

from policy import tenancy
from policy.core.outcomes import Done, ErrorClass, Failed, Outcome
from policy.core.retry import RetryPolicy
from policy.core.rules.decide import EffectClass, Risk
from policy.models import AuditEvent
from tools import catalogue, finding, mcp
from tools.core.finding import CannotTell, Found, Happened, NotHappened
from tools.core.spec import ToolCall, ToolSpec
from tools.errors import InvalidServer, InvalidTool, ServerUnreachable, UnknownTool
from tools.models import RemoteTool
from tools.operations.declare import declare
from tools.operations.discover import discover
from tools.operations.register_server import register_server

SCRIPT = Path(__file__).parent / "serve_tools.py"
TOKEN = "let me in"
T = TypeVar("T")


def a_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def served(port: int, token: str = TOKEN) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, str(SCRIPT), str(port), token])  # noqa: S603 - ours
    try:
        wait_for(port)
        yield process
    finally:
        process.kill()
        process.wait()


def wait_for(port: int) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
        try:
            connection.request("GET", "/health")
            connection.getresponse().read()
        except OSError:
            time.sleep(0.05)
        else:
            return
        finally:
            connection.close()
    raise AssertionError("the tool server did not come up")


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    port = a_port()
    with served(port):
        yield port


def a_call(
    name: str, port: int, *, path: str = "/mcp", token: str = TOKEN, **arguments: Any
) -> ToolCall:
    server_id = f"{port}{path}{token}"
    mcp.remember(mcp.Address(server_id, f"http://127.0.0.1:{port}{path}", token))
    spec = ToolSpec(
        name=f"s.{name}",
        version="1",
        description="",
        input_schema={},
        server_id=server_id,
        remote_name=name,
    )
    return ToolCall(
        spec=spec, arguments=arguments, key="r1/2/t/0", run_id="r1", tenant_id="t", timeout=5
    )


def run(scene: Coroutine[Any, Any, T]) -> T:
    async def whole() -> T:
        try:
            return await scene
        finally:
            await mcp.close()

    return asyncio.run(whole())


def called(name: str, port: int, seconds: float = 5, **options: Any) -> Outcome:
    return run(mcp.call(a_call(name, port, **options), seconds=seconds))


def refused(outcome: Outcome) -> tuple[ErrorClass, bool]:
    assert isinstance(outcome, Failed), outcome
    return outcome.error_class, outcome.in_doubt


def test_a_remote_tool_is_called_with_exactly_its_arguments_its_key_and_its_run(port: int) -> None:
    arguments: dict[str, Any] = {"a": None, "b": [1.5, {"c": None}], "d": "ü\n"}

    outcome = called("echo", port, **arguments)

    assert isinstance(outcome, Done)
    assert outcome.value["arguments"] == arguments
    assert outcome.value["meta"]["agentops/run"] == "r1"
    assert outcome.value["meta"]["agentops/idempotency_key"] == "r1/2/t/0"


def test_a_tool_that_says_no_is_a_failure_without_doubt(port: int) -> None:
    outcome = called("refuse", port)

    assert outcome == Failed(error_class=ErrorClass.PERMANENT_DEPENDENCY, detail="no such order")


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("crash", {}, (ErrorClass.PERMANENT_DEPENDENCY, True)),
        ("echo", {"token": "wrong"}, (ErrorClass.AUTH_ERROR, False)),
        ("echo", {"path": "/busy"}, (ErrorClass.RATE_LIMITED, False)),
        ("echo", {"path": "/broken"}, (ErrorClass.TRANSIENT_DEPENDENCY, False)),
        ("echo", {"path": "/nowhere"}, (ErrorClass.TRANSIENT_DEPENDENCY, False)),
        ("echo", {"path": "/nonsense"}, (ErrorClass.TRANSIENT_DEPENDENCY, False)),
    ],
)
def test_a_server_that_answers_no_call_is_a_typed_failure(
    port: int, name: str, options: dict[str, Any], expected: tuple[ErrorClass, bool]
) -> None:
    assert refused(called(name, port, **options)) == expected


def test_a_server_that_is_not_there_did_nothing() -> None:
    assert refused(called("echo", a_port())) == (ErrorClass.TRANSIENT_DEPENDENCY, False)


def test_a_hanging_tool_is_left_in_doubt_and_holds_up_no_other(port: int) -> None:
    async def scene() -> tuple[Outcome, Outcome]:
        hanging = asyncio.ensure_future(mcp.call(a_call("sleep", port, seconds=30), seconds=2))
        other = await mcp.call(a_call("double", port, n=4), seconds=5)
        return await hanging, other

    hung, other = run(scene())

    assert refused(hung) == (ErrorClass.TIMEOUT, True)
    assert other == Done(value={"n": 8})


def test_hundreds_of_calls_are_under_way_at_once(port: int) -> None:
    async def scene() -> list[Outcome]:
        calls = (mcp.call(a_call("sleep", port, seconds=0.5), seconds=20) for _ in range(200))
        return await asyncio.gather(*calls)

    began = time.monotonic()
    outcomes = run(scene())

    assert all(isinstance(outcome, Done) for outcome in outcomes)
    assert time.monotonic() - began < 10


def test_a_server_that_dies_fails_the_calls_under_way_and_serves_again_when_it_is_back() -> None:
    port = a_port()

    async def scene(first: subprocess.Popen[bytes]) -> None:
        assert isinstance(await mcp.call(a_call("double", port, n=1), seconds=5), Done)
        under_way = [
            asyncio.ensure_future(mcp.call(a_call("sleep", port, seconds=30), seconds=20))
            for _ in range(20)
        ]
        await asyncio.sleep(0.5)
        first.kill()
        first.wait()
        for outcome in await asyncio.gather(*under_way):
            assert refused(outcome) == (ErrorClass.TRANSIENT_DEPENDENCY, True)
        gone = await mcp.call(a_call("double", port, n=1), seconds=5)
        assert refused(gone) == (ErrorClass.TRANSIENT_DEPENDENCY, False)
        with served(port):
            assert await mcp.call(a_call("double", port, n=2), seconds=5) == Done(value={"n": 4})

    with served(port) as first:
        run(scene(first))


def test_our_own_cancellation_goes_through(port: int) -> None:
    async def scene() -> None:
        task = asyncio.ensure_future(mcp.call(a_call("sleep", port, seconds=30), seconds=20))
        await asyncio.sleep(0.3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(scene())


def test_a_changed_token_counts_from_the_next_call_on(port: int) -> None:
    async def scene() -> tuple[Outcome, Outcome]:
        call = a_call("double", port, n=1)
        first = await mcp.call(call, seconds=5)
        changed = mcp.Address(call.spec.server_id, f"http://127.0.0.1:{port}/mcp", "old")
        mcp.remember(changed)
        return first, await mcp.call(call, seconds=5)

    first, second = run(scene())

    assert isinstance(first, Done)
    assert refused(second) == (ErrorClass.AUTH_ERROR, False)


def test_a_server_of_which_nothing_was_read_is_not_called(port: int) -> None:
    call = a_call("echo", port)
    unknown = replace(call, spec=replace(call.spec, server_id="unheard of"))

    assert refused(run(mcp.call(unknown, seconds=5))) == (ErrorClass.INTERNAL, False)


def test_discovered_tools_count_as_once_until_somebody_declares_them(
    tenant: UUID, port: int
) -> None:
    with tenancy.scope(tenant):
        server = register_server("desk", f"http://127.0.0.1:{port}/mcp", TOKEN)

    found = discover(server, tenant_id=tenant)

    assert "desk.double" in found.tools
    assert set(found.refused) == {"desk.not a name", "desk.bad_schema"}
    with tenancy.scope(tenant):
        assert catalogue.find("desk.double").effect is EffectClass.ONCE
        assert catalogue.find("desk.wipe").risk is Risk.HIGH
        declare("desk.double", effect="read", timeout=3, retry={"max_attempts": 7})
        assert catalogue.find("desk.double").retry == RetryPolicy(max_attempts=7)
        assert catalogue.find("desk.double").effect is EffectClass.READ
        with pytest.raises(InvalidTool, match="its retry: max_attempts is 1 or more"):
            declare("desk.double", retry={"max_attempts": 0})
        assert {spec.name for spec in catalogue.specs(["desk.d*", "*.wipe"])} == {
            "desk.double",
            "desk.wipe",
        }
        assert list(AuditEvent.objects.order_by("id").values_list("action", flat=True))[1:] == [
            "tool_server.save",
            "tool_server.discover",
            "tool.declare",
        ]


def test_a_tool_whose_declaration_changed_counts_as_once_again(tenant: UUID, port: int) -> None:
    with tenancy.scope(tenant):
        server = register_server("desk", f"http://127.0.0.1:{port}/mcp", TOKEN)
    discover(server, tenant_id=tenant, prefix="")
    with tenancy.scope(tenant):
        for name in ("double", "echo"):
            declare(name, effect="read")
        RemoteTool.objects.filter(name="echo").update(version="what it was before")

    discover(server, tenant_id=tenant, prefix="")

    with tenancy.scope(tenant):
        assert catalogue.find("double").effect is EffectClass.READ
        assert catalogue.find("echo").effect is EffectClass.ONCE


def test_another_tenant_sees_none_of_it(tenant: UUID, other_tenant: UUID, port: int) -> None:
    with tenancy.scope(tenant):
        server = register_server("theirs", f"http://127.0.0.1:{port}/mcp", TOKEN)
    discover(server, tenant_id=tenant)

    with tenancy.scope(other_tenant):
        assert catalogue.specs(["theirs.*"]) == []
        with pytest.raises(UnknownTool):
            catalogue.find("theirs.double")


def test_what_cannot_be_used_is_refused(tenant: UUID) -> None:
    with tenancy.scope(tenant):
        for url in (
            "ftp://x/mcp",
            "http://",
            "http://u:p@x/mcp",
            "http://x/mcp?a=1",
            "http://x:99999",
        ):
            with pytest.raises(InvalidServer):
                register_server("desk", url)
        with pytest.raises(InvalidServer):
            register_server("no name", "http://x/mcp")
        with pytest.raises(UnknownTool):
            declare("desk.nothing", effect="read")
        with pytest.raises(InvalidTool):
            declare("desk.nothing", effect="sometimes")
        server = register_server("gone", f"http://127.0.0.1:{a_port()}/mcp")

    with pytest.raises(ServerUnreachable):
        discover(server, tenant_id=tenant)


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("done", Happened({"n": 8})),
        ("lost", NotHappened()),
        ("open", CannotTell("ask tomorrow")),
    ],
)
def test_a_read_tool_of_the_server_says_what_became_of_a_call(
    port: int, what: str, expected: Found
) -> None:
    assert found_out(port, what=what) == expected


def test_a_reconcile_tool_that_answers_something_else_has_failed(port: int) -> None:
    assert isinstance(found_out(port, what="odd"), Failed)


def found_out(port: int, what: str) -> Found:
    call = a_call("double", port, what=what)
    call = replace(call, spec=replace(call.spec, reconcile="find"))
    return run(finding.find_out(call, now=datetime(2030, 1, 1, tzinfo=UTC)))


def test_only_a_read_tool_of_the_same_server_is_believed_about_what_happened(
    tenant: UUID, port: int
) -> None:
    with tenancy.scope(tenant):
        server = register_server("desk", f"http://127.0.0.1:{port}/mcp", TOKEN)
    discover(server, tenant_id=tenant)
    with tenancy.scope(tenant):
        with pytest.raises(InvalidTool, match="declared `read` first"):
            declare("desk.double", reconcile="desk.echo")
        declare("desk.echo", effect="read")
        declare("desk.double", reconcile="desk.echo")
        assert catalogue.find("desk.double").reconcile == "echo"

        declare("desk.echo", effect="once")
        assert catalogue.find("desk.double").reconcile == ""
