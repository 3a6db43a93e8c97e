"""Back to a moment and aside from it, through the real engine and over HTTP."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from policy import tenancy
from policy.models import AuditEvent
from runs.agents import Channel, Context, Node, Program, Reducer, graph
from tests.http import Api
from tests.integration.engine_room import Room
from tests.unit.runs import desk

ASK_FIRST = """
rules:
  - {name: notes, decision: allow, effects: [read, idempotent]}
  - {name: payments, decision: require_approval, tools: desk.pay, expires_after: 1h}
"""


@pytest.fixture(autouse=True)
def _new_world() -> None:
    desk.world.forget()


async def look(ctx: Context) -> dict[str, Any]:
    await ctx.tool("desk.read", order=1)
    return {"notes": ["looked"], "order": ctx.state["input"]}


async def note(ctx: Context) -> dict[str, Any]:
    await ctx.tool("desk.note", text="seen")
    return {"notes": ["noted"]}


async def pay(ctx: Context) -> dict[str, Any]:
    paid = await ctx.tool("desk.pay", order=ctx.state["order"], amount=5)
    return {"output": [*ctx.state["notes"], paid]}


def a_clerk() -> Program:
    shape = graph(
        Node(name="look", run=look, then=("note",)),
        Node(name="note", run=note, then=("pay",)),
        Node(name="pay", run=pay),
        start="look",
        channels={"notes": Channel(reducer=Reducer.LOG), "order": Channel()},
    )
    return Program(name="clerk", version="1", graph=shape, tools=("desk.*",))


def held(room: Room) -> str:
    """A run that waits for a person, three super-steps in."""
    room.apply(ASK_FIRST)
    run_id = room.play(a_clerk(), 7)
    assert room.run(run_id).super_step == 2
    return run_id


@pytest.fixture
def api(room: Room) -> Api:
    return Api(UUID(room.ground.tenant), "operator")


def test_the_state_of_every_moment_can_be_read_and_compared(room: Room, api: Api) -> None:
    path = f"/api/v1/runs/{held(room)}"

    then, now = api.get(f"{path}/state?at=1").json(), api.get(f"{path}/state").json()
    changed = api.get(f"{path}/checkpoints/diff?from=1&to=2").json()

    assert then["channels"] == {"input": 7, "notes": ["looked"], "order": 7}
    assert (now["super_step"], now["channels"]["notes"]) == (2, ["looked", "noted"])
    assert [task["node"] for task in now["tasks"]] == ["pay"]
    assert changed["changes"] == [
        {"channel": "notes", "change": "items", "before": [], "after": ["noted"]}
    ]


@pytest.mark.parametrize("asked", ["state?at=9", "checkpoints/diff?from=0&to=9"])
def test_a_moment_that_was_never_is_not_found(room: Room, api: Api, asked: str) -> None:
    assert api.get(f"/api/v1/runs/{held(room)}/{asked}").status_code == 404


def test_a_rewind_names_what_stays_done_and_wants_a_yes(room: Room, api: Api) -> None:
    run_id = held(room)
    path = f"/api/v1/runs/{run_id}/rewind"

    refused = api.post(path, {"super_step": 1})
    listed = api.get(f"/api/v1/runs/{run_id}/irreversible?since=1").json()["results"]
    taken = api.post(path, {"super_step": 1, "accept_irreversible": True, "reason": "again"})

    assert (refused.status_code, refused.json()["code"]) == (409, "irreversible")
    assert f"desk.note ({run_id}/1/note/0)" in refused.json()["detail"]
    assert [(row["name"], row["stands"]) for row in listed] == [("desk.note", "done")]
    assert taken.status_code == 202
    assert taken.json()["run"]["state"] == "queued"
    assert taken.json()["irreversible"] == listed


def test_a_rewound_run_does_again_what_came_after_and_comes_to_its_end(
    room: Room, api: Api
) -> None:
    run_id = held(room)
    api.post(f"/api/v1/runs/{run_id}/rewind", {"super_step": 1, "accept_irreversible": True})

    room.go_on(run_id)
    room.decide(run_id, "approve")

    assert room.output(run_id) == ["looked", "noted", "paid 5 for 7"]
    assert list(desk.world.effects) == [
        f"{run_id}/1/note/0",
        f"{run_id}/3/note/0",
        f"{run_id}/4/pay/0 time 1",
    ]
    steps = api.get(f"/api/v1/runs/{run_id}/steps").json()["results"]
    assert [step["state"] for step in steps] == [
        "committed",
        "abandoned",
        "abandoned",
        "committed",
        "committed",
    ]
    with tenancy.scope(UUID(room.ground.tenant)):
        row = AuditEvent.objects.get(action="run.rewound")
    assert row.detail["standing"] == [f"{run_id}/1/note/0"]


def test_without_anything_done_since_no_yes_is_wanted(room: Room, api: Api) -> None:
    answer = api.post(f"/api/v1/runs/{held(room)}/rewind", {"super_step": 2})

    assert answer.status_code == 202
    assert answer.json()["irreversible"] == []


def test_an_ended_run_is_not_rewound_but_forked(room: Room, api: Api) -> None:
    run_id = held(room)
    room.decide(run_id, "approve")
    before = api.get(f"/api/v1/runs/{run_id}").json()

    refused = api.post(
        f"/api/v1/runs/{run_id}/rewind", {"super_step": 1, "accept_irreversible": True}
    )
    forked = api.post(f"/api/v1/runs/{run_id}/fork", {"super_step": 2, "state": {"order": 8}})

    assert (refused.status_code, refused.json()["code"]) == (409, "illegal_move")
    assert "fork it instead" in refused.json()["detail"]
    other = forked.json()["run"]
    assert (forked.status_code, forked["Location"]) == (202, f"/api/v1/runs/{other['id']}")
    assert (other["origin_run_id"], other["origin_super_step"]) == (run_id, 2)
    assert [row["name"] for row in forked.json()["irreversible"]] == ["desk.pay"]
    room.go_on(other["id"])
    room.decide(other["id"], "approve")
    assert room.output(other["id"]) == ["looked", "noted", "paid 5 for 8"]
    assert api.get(f"/api/v1/runs/{run_id}").json() == before


def test_a_fork_needs_nothing_of_the_run_that_it_came_from(room: Room, api: Api) -> None:
    run_id = held(room)
    forked = api.post(f"/api/v1/runs/{run_id}/fork", {"super_step": 2}).json()["run"]["id"]

    checkpoints = api.get(f"/api/v1/runs/{forked}/checkpoints").json()["results"]

    assert [(c["super_step"], c["writes"]) for c in checkpoints] == [
        (0, {"input": 7, "notes": ["looked", "noted"], "order": 7})
    ]


def test_a_rewound_run_can_be_forked_from_both_lines(room: Room, api: Api) -> None:
    run_id = held(room)
    api.post(f"/api/v1/runs/{run_id}/rewind", {"super_step": 1, "accept_irreversible": True})

    states = [api.get(f"/api/v1/runs/{run_id}/state?at={at}").json() for at in (2, 3)]
    forks = [
        api.post(f"/api/v1/runs/{run_id}/fork", {"super_step": at}).json()["run"]["id"]
        for at in (2, 3)
    ]

    notes = [state["channels"]["notes"] for state in states]
    assert notes == [["looked", "noted"], ["looked"]]
    found = [api.get(f"/api/v1/runs/{fork}/state").json()["channels"]["notes"] for fork in forks]
    assert found == notes


@pytest.mark.parametrize(
    ("body", "status", "pointer"),
    [
        ({"super_step": 1, "state": {"nothing": 1}}, 422, "/state/nothing"),
        ({"super_step": 1, "state": {"notes": "text"}}, 422, "/state/notes"),
        ({"super_step": 1, "version": "99"}, 404, None),
        ({"super_step": 99}, 404, None),
        ({"super_step": -1}, 422, "/super_step"),
        ({}, 422, "/super_step"),
    ],
)
def test_a_fork_that_does_not_fit_starts_nothing(
    room: Room, api: Api, body: dict[str, Any], status: int, pointer: str | None
) -> None:
    run_id = held(room)

    answer = api.post(f"/api/v1/runs/{run_id}/fork", body)

    assert answer.status_code == status
    assert pointer in [error["pointer"] for error in answer.json()["errors"]] or pointer is None
    assert len(api.get("/api/v1/runs").json()["results"]) == 1


def test_a_viewer_may_look_at_the_past_but_not_go_there(room: Room) -> None:
    viewer = Api(UUID(room.ground.tenant), "viewer")
    path = f"/api/v1/runs/{held(room)}"

    assert viewer.get(f"{path}/state?at=0").status_code == 200
    assert viewer.post(f"{path}/rewind", {"super_step": 2}).status_code == 403
    assert viewer.post(f"{path}/fork", {"super_step": 2}).status_code == 403
