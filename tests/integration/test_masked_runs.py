"""Viewers see that a run did something, and not what: over HTTP and on the pages of runs."""

from __future__ import annotations

import json
from typing import Any, Final
from uuid import UUID

import pytest

from policy.core.json import JsonObject
from runs.agents import Context, Node, Program, graph
from tests.http import Api, a_person, signed_in
from tests.integration.engine_room import Room
from tests.unit.runs import desk  # noqa: F401 - declares the tools

SECRET: Final = "the-patient-is-ill"
OUTPUT: Final = "the-answer-is-yes"
EVERYWHERE: Final = (
    *("", "/steps", "/events", "/effects", "/checkpoints", "/state"),
    *("/checkpoints/diff?from=0", "/irreversible", "/compensations"),
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
    return Program(name="clerk", version="1", graph=shape, tools=("desk.*",))


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
