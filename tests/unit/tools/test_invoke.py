"""The door to every tool: what gets in, what comes out, and what is in doubt."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from policy.core.outcomes import Done, ErrorClass, Failed, Outcome
from policy.core.rules.decide import CallRequest, Decision, Policy, Principal, Rule
from policy.enforce import Permit, enforce
from tools.core.spec import ToolCall
from tools.errors import InvalidTool, PermitMismatch
from tools.invoke import LARGEST_RESULT, invoke
from tools.registry import ToolContext, ToolError, local, tool
from tools.threads import SLOTS_PER_TOOL

NOW = datetime(2026, 1, 1, tzinfo=UTC)
EVERYTHING = Policy.of("1", [Rule(name="all", decision=Decision.ALLOW)])


@dataclass(frozen=True)
class Parcel:
    id: int
    grams: float


@tool("t.parcel", effect="read")
async def parcel(id: int, *, note: str = "") -> Parcel:  # noqa: A002 - a caller's word
    """Look a parcel up."""
    await asyncio.sleep(0)
    return Parcel(id, float(len(note)) or 12.5)


@tool("t.key", effect="idempotent")
def key(ctx: ToolContext) -> dict[str, str]:
    return {"key": ctx.idempotency_key, "until": ctx.deadline.isoformat()}


@tool("t.refuse")
async def refuse(how: str) -> str:
    match how:
        case "declared":
            raise ToolError("not today", error_class=ErrorClass.RATE_LIMITED, retry_after=3)
        case "crash":
            raise KeyError("boom")
        case "exit":
            raise SystemExit(3)
        case "cancelled":
            raise asyncio.CancelledError
        case _:
            raise ConnectionResetError("gone")


@tool("t.lie")
async def lie(how: str) -> float:
    lies: Any = {"type": "many", "nothing": None, "nan": float("nan")}[how]
    return lies  # type: ignore[no-any-return]


@tool("t.any", effect="read")
async def anything(how: str) -> Any:
    nested: list[Any] = []
    for _ in range(1000):
        nested = [nested]
    return {
        "big": "x" * (LARGEST_RESULT + 1),
        "nan": float("nan"),
        "deep": nested,
        "nul": "a\0b\ud800",
    }[how]


@tool("t.hang", timeout=0.1)
def hang(seconds: float) -> str:
    time.sleep(seconds)
    return "late"


@tool("t.stubborn", timeout=0.1)
async def stubborn() -> str:
    for _ in range(3):
        try:
            await asyncio.sleep(0.2)
        except asyncio.CancelledError:
            continue
    return "late"


def a_call(name: str, timeout: float = 5, **arguments: Any) -> ToolCall:
    return ToolCall(
        spec=local()[name],
        arguments=arguments,
        key="r1/1/t/0",
        run_id="r1",
        tenant_id="t1",
        timeout=timeout,
    )


def a_permit(call: ToolCall) -> Permit:
    request = CallRequest(
        tool=call.spec.name,
        version=call.spec.version,
        arguments=call.arguments,
        effect=call.spec.effect,
        agent="a",
        principal=Principal(id="p", name="p"),
    )
    permit = enforce(EVERYTHING, request, now=NOW)
    assert isinstance(permit, Permit)
    return permit


def invoked(name: str, timeout: float = 5, **arguments: Any) -> Outcome:
    call = a_call(name, timeout, **arguments)
    return asyncio.run(invoke(call, permit=a_permit(call), now=NOW))


def failed(name: str, timeout: float = 5, **arguments: Any) -> Failed:
    outcome = invoked(name, timeout, **arguments)
    assert isinstance(outcome, Failed), outcome
    return outcome


def test_a_tool_is_called_with_its_arguments_and_its_defaults() -> None:
    assert invoked("t.parcel", id=7) == Done(value={"id": 7, "grams": 12.5})


def test_the_schema_is_read_from_the_types_and_the_description_from_the_docstring() -> None:
    spec = local()["t.parcel"]

    assert spec.description == "Look a parcel up."
    assert spec.input_schema == {
        "type": "object",
        "properties": {"id": {"type": "integer"}, "note": {"type": "string", "default": ""}},
        "required": ["id"],
        "additionalProperties": False,
    }
    assert spec.output_schema is not None
    assert spec.output_schema["required"] == ["id", "grams"]


def test_a_tool_gets_the_key_and_the_deadline_of_its_call_outside_its_schema() -> None:
    outcome = invoked("t.key", 2)

    assert isinstance(outcome, Done)
    assert outcome.value["key"] == "r1/1/t/0"
    assert outcome.value["until"] == (NOW + timedelta(seconds=2)).isoformat()
    assert local()["t.key"].input_schema["properties"] == {}


@pytest.mark.parametrize("change", [{"id": 8}, {"id": 7, "note": "more"}])
def test_a_permit_is_for_exactly_one_set_of_arguments(change: dict[str, Any]) -> None:
    permit = a_permit(a_call("t.parcel", id=7))

    with pytest.raises(PermitMismatch):
        asyncio.run(invoke(a_call("t.parcel", **change), permit=permit, now=NOW))


def test_a_permit_runs_out() -> None:
    call = a_call("t.parcel", id=7)

    with pytest.raises(PermitMismatch):
        asyncio.run(invoke(call, permit=a_permit(call), now=NOW + timedelta(hours=1)))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"id": "7"}, "/id: '7' is not of type 'integer'"),
        ({}, "/: 'id' is a required property"),
        ({"id": 7, "x": 1}, "/: Additional properties are not allowed ('x' was unexpected)"),
    ],
)
def test_arguments_that_do_not_fit_the_schema_name_their_place(
    arguments: dict[str, Any], told: str
) -> None:
    outcome = failed("t.parcel", **arguments)

    assert outcome.error_class is ErrorClass.VALIDATION_ERROR
    assert outcome.detail == told
    assert not outcome.in_doubt


@pytest.mark.parametrize(
    ("how", "error_class", "in_doubt"),
    [
        ("declared", ErrorClass.RATE_LIMITED, False),
        ("crash", ErrorClass.PERMANENT_DEPENDENCY, True),
        ("exit", ErrorClass.PERMANENT_DEPENDENCY, True),
        ("cancelled", ErrorClass.TRANSIENT_DEPENDENCY, True),
        ("network", ErrorClass.TRANSIENT_DEPENDENCY, True),
    ],
)
def test_whatever_a_tool_raises_comes_back_as_a_failure(
    how: str, error_class: ErrorClass, *, in_doubt: bool
) -> None:
    outcome = failed("t.refuse", how=how)

    assert (outcome.error_class, outcome.in_doubt) == (error_class, in_doubt)


@pytest.mark.parametrize("how", ["type", "nothing", "nan"])
def test_a_result_of_another_type_is_refused_and_its_effect_is_in_doubt(how: str) -> None:
    outcome = failed("t.lie", how=how)

    assert outcome.error_class is ErrorClass.VALIDATION_ERROR
    assert outcome.in_doubt


@pytest.mark.parametrize("how", ["big", "deep"])
def test_a_result_that_cannot_be_stored_is_refused(how: str) -> None:
    assert failed("t.any", how=how).error_class is ErrorClass.VALIDATION_ERROR


def test_characters_that_cannot_be_stored_are_replaced() -> None:
    assert invoked("t.any", how="nul") == Done(value="a\ufffdb\ufffd")


@pytest.mark.parametrize("name", ["t.hang", "t.stubborn"])
def test_a_tool_that_hangs_is_left_behind_in_doubt(name: str) -> None:
    began = time.monotonic()
    outcome = failed(name, **({"seconds": 0.5} if name == "t.hang" else {}))

    assert outcome.error_class is ErrorClass.TIMEOUT
    assert outcome.in_doubt
    assert time.monotonic() - began < 2


def test_a_tool_whose_threads_all_hang_blocks_nobody_else() -> None:
    async def scene() -> tuple[list[Outcome], Outcome]:
        hung = [a_call("t.hang", seconds=0.6) for _ in range(SLOTS_PER_TOOL + 4)]
        ends = [asyncio.ensure_future(invoke(c, permit=a_permit(c), now=NOW)) for c in hung]
        other = a_call("t.key")
        done = await invoke(other, permit=a_permit(other), now=NOW)
        return await asyncio.gather(*ends), done

    ends, other = asyncio.run(scene())

    assert isinstance(other, Done)
    never_began = [e for e in ends if isinstance(e, Failed) and not e.in_doubt]
    assert {e.error_class for e in never_began} == {ErrorClass.TRANSIENT_DEPENDENCY}
    assert len(never_began) == 4


def test_our_own_cancellation_goes_through() -> None:
    async def scene() -> None:
        call = a_call("t.stubborn", 5)
        task = asyncio.ensure_future(invoke(call, permit=a_permit(call), now=NOW))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scene())


def test_a_call_judged_for_another_version_of_the_code_is_not_made() -> None:
    old = a_call("t.parcel", id=7)

    def declare() -> Callable[..., Any]:
        return tool("t.parcel", version="2", effect="read")(parcel)

    declare()
    try:
        outcome = asyncio.run(invoke(old, permit=a_permit(old), now=NOW))
    finally:
        tool("t.parcel", effect="read")(parcel)

    assert isinstance(outcome, Failed)
    assert not outcome.in_doubt


def test_a_name_belongs_to_one_function() -> None:
    def other() -> None: ...

    with pytest.raises(InvalidTool, match="declared twice"):
        tool("t.parcel")(other)


@pytest.mark.parametrize("name", ["", "1st", "a b", "a..b", "a.", "é", "x" * 101])
def test_names_that_a_model_could_not_call_are_refused(name: str) -> None:
    with pytest.raises(InvalidTool):
        tool(name)


def test_a_tool_must_say_what_it_takes_and_gives() -> None:
    def untyped(x) -> None: ...  # type: ignore[no-untyped-def]  # noqa: ANN001
    def ungiven(x: int): ...  # type: ignore[no-untyped-def]  # noqa: ANN202
    def stars(*x: int) -> None: ...

    for function in (untyped, ungiven, stars):
        with pytest.raises(InvalidTool):
            tool("t.bad")(function)
