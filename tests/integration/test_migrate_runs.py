"""Runs that sleep go on under another version of their agent, through the real engine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.management import CommandError, call_command

from policy.core.actor import SYSTEM
from policy.models import AuditEvent, Role, Tenant
from runs import queries
from runs.agents import (
    Channel,
    Context,
    Migration,
    Node,
    Program,
    Reducer,
    SyncContext,
    graph,
    registry,
)
from runs.agents.versions import add_react_version
from runs.errors import IllegalMove, UnknownAgent
from runs.models import Run
from runs.operations.fork import Fork, fork_run
from runs.operations.migrate_runs import between
from runs.operations.replay import replay_run
from runs.operations.start import StartRun, start_run
from tests.http import Api
from tests.integration.engine_room import Room
from tests.unit.runs import desk

ASK_FIRST = """
rules:
  - {name: notes, decision: allow, effects: [read, idempotent]}
  - {name: payments, decision: require_approval, tools: desk.pay, expires_after: 1h}
"""


@pytest.fixture(autouse=True)
def _registry() -> Iterator[None]:
    """Let each test declare agents of its own."""
    desk.world.forget()
    with registry.apart():
        yield


def first(_: SyncContext) -> dict[str, Any]:
    return {"notes": ["old"]}


async def ask(ctx: Context) -> dict[str, Any]:
    paid = await ctx.tool("desk.pay", order=ctx.state["input"], amount=5)
    return {"notes": [paid]}


def end(ctx: SyncContext) -> dict[str, Any]:
    return {"output": list(ctx.state["notes"])}


def new_end(ctx: SyncContext) -> dict[str, Any]:
    return {"output": {"under": 2, "notes": list(ctx.state["notes"])}}


def a_version(number: str, last: Any, **options: Any) -> Program:
    shape = graph(
        Node(name="first", run=first, then=("ask",)),
        Node(name="ask", run=ask, then=("end",)),
        Node(name="end", run=last),
        start="first",
        channels={"notes": Channel(reducer=Reducer.LOG)},
    )
    return Program(name="clerk", version=number, graph=shape, tools=("desk.*",), **options)


OLD = a_version("1", end)
NEW = a_version("2", new_end, migrates={"1": Migration(same=frozenset({"ask"}))})


def asleep(room: Room) -> str:
    """A run of the old version that waits for a person."""
    room.apply(ASK_FIRST)
    return room.play(OLD, 7)


def version_of(room: Room, run_id: str) -> str:
    with room.scope():
        return queries.run(UUID(run_id)).version


def slug(room: Room) -> str:
    with room.scope():
        return Tenant.objects.get(pk=room.ground.tenant).slug


def told(
    room: Room, capsys: pytest.CaptureFixture[str], *words: str, status: int = 0
) -> dict[str, Any]:
    """Run the command; give its last line."""
    capsys.readouterr()
    try:
        call_command("migrateruns", *words, tenant=slug(room))
        ended = 0
    except SystemExit as done:
        ended = int(str(done.code))
    assert ended == status
    last: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return last


FORTH = ("clerk", "--from", "1", "--to", "2")


def test_a_run_that_waits_for_a_person_goes_on_under_the_new_version(
    room: Room, capsys: pytest.CaptureFixture[str]
) -> None:
    run_id = asleep(room)
    registry.register(NEW)

    tried = told(room, capsys, *FORTH, "--dry-run")
    untouched = version_of(room, run_id)
    done = told(room, capsys, *FORTH)
    room.decide(run_id, "approve")

    assert untouched == "1"
    assert tried == {**done, "migration": None, "dry_run": True}
    assert (done["runs"], done["moved"], done["left"]) == (1, 1, 0)
    assert room.output(run_id) == {"under": 2, "notes": ["old", "paid 5 for 7"]}
    assert len(desk.world.calls) == 1
    with room.scope():
        event = AuditEvent.objects.get(action="run.migrated")
        assert event.actor == "system:manage.py migrateruns"
        assert (event.detail["from"], event.detail["to"]) == ("1", "2")


def test_over_http_it_is_looked_at_done_and_taken_back(room: Room) -> None:
    run_id = asleep(room)
    registry.register(NEW)
    api = Api(UUID(room.ground.tenant), Role.OPERATOR)
    asked = {"agent": "clerk", "from": "1", "to": "2"}

    tried = api.post("/api/v1/migrations", {**asked, "dry_run": True}).json()
    untouched = version_of(room, run_id)
    done = api.post("/api/v1/migrations", asked).json()
    moved = version_of(room, run_id)
    undone = api.post(f"/api/v1/migrations/{done['migration']}/undo", {}).json()

    fits = [{"run_id": run_id, "moved": True, "reasons": []}]
    assert tried == {"migration": None, "dry_run": True, "results": fits, "next_after": None}
    assert (done["results"], undone) == (fits, {"results": fits, "next_after": None})
    assert (untouched, moved, version_of(room, run_id)) == ("1", "2", "1")
    with room.scope():
        by = set(AuditEvent.objects.filter(subject=f"run/{run_id}", action__contains="migrat"))
    assert {event.actor for event in by} == {"service:a caller"}


def test_over_http_what_does_not_fit_says_why_and_others_may_not(room: Room) -> None:
    run_id = asleep(room)
    registry.register(replace(NEW, migrates={}))
    asked = {"agent": "clerk", "from": "1", "to": "2"}
    tenant = UUID(room.ground.tenant)

    left = Api(tenant, Role.ADMIN).post("/api/v1/migrations", asked).json()["results"]
    same = Api(tenant, Role.ADMIN).post("/api/v1/migrations", {**asked, "to": "1"})
    viewer = Api(tenant, Role.VIEWER).post("/api/v1/migrations", asked)

    assert [(one["moved"], bool(one["reasons"])) for one in left] == [(False, True)]
    assert (same.status_code, viewer.status_code) == (422, 403)
    assert version_of(room, run_id) == "1"


def test_a_run_whose_code_is_gone_is_rescued_by_a_version_that_declares_it(
    room: Room, capsys: pytest.CaptureFixture[str]
) -> None:
    run_id = asleep(room)
    registry._AGENTS.clear()
    registry.register(NEW)
    room.decide(run_id, "approve")
    parked = room.run(run_id)

    told(room, capsys, *FORTH)
    room.go_on(run_id)

    assert (parked.state, parked.reason) == ("interrupted", "version")
    assert room.output(run_id) == {"under": 2, "notes": ["old", "paid 5 for 7"]}
    assert len(desk.world.calls) == 1


def test_what_is_left_is_named_with_the_reason_and_the_command_fails(
    room: Room, capsys: pytest.CaptureFixture[str]
) -> None:
    run_id = asleep(room)
    registry.register(a_version("2", new_end))

    capsys.readouterr()
    with pytest.raises(SystemExit):
        call_command("migrateruns", *FORTH, tenant=slug(room))
    out = capsys.readouterr().out

    assert f"{run_id}  left: task 'ask' has asked for effects" in out
    assert json.loads(out.splitlines()[-1])["left"] == 1
    assert version_of(room, run_id) == "1"


def test_a_migration_is_undone_and_what_went_on_is_left(
    room: Room, capsys: pytest.CaptureFixture[str]
) -> None:
    stays, goes_on = asleep(room), room.play(OLD, 8)
    registry.register(NEW)
    done = told(room, capsys, *FORTH)
    room.decide(goes_on, "approve")

    undone = told(room, capsys, "--undo", done["migration"], status=1)
    room.decide(stays, "approve")

    assert (undone["moved"], undone["left"]) == (1, 1)
    assert room.output(stays) == ["old", "paid 5 for 7"]
    assert room.output(goes_on) == {"under": 2, "notes": ["old", "paid 5 for 8"]}
    assert room.events(stays).count("run.migration_undone") == 1


def test_a_react_run_that_waits_goes_on_with_another_model(
    room: Room, capsys: pytest.CaptureFixture[str]
) -> None:
    room.apply(ASK_FIRST)
    old, new = room.model(desk.SCRIPT, "old"), room.model(desk.SCRIPT, "new")
    with room.scope():
        for number, model in (("1", "old"), ("2", "new")):
            definition = {"prompt": "Help.", "model": model, "tools": ["desk.*"]}
            add_react_version("row", number, definition)
        command = StartRun(agent="row", version="1", input="Pay order 7", by=SYSTEM)
        run_id = str(start_run(command, now=room.now()))
    room.go_on(run_id)

    told(room, capsys, "row", "--from", "1", "--to", "2")
    room.decide(run_id, "approve")

    assert room.output(run_id) == {"answer": "Order 7 was paid."}
    assert (len(old.heard), len(new.heard)) == (2, 1)


def test_a_migrated_run_is_replayed_each_step_under_its_own_version(
    room: Room, capsys: pytest.CaptureFixture[str]
) -> None:
    run_id = asleep(room)
    registry.register(NEW)
    told(room, capsys, *FORTH)
    room.decide(run_id, "approve")

    with room.scope():
        found = replay_run(UUID(run_id))

    assert (found.super_steps, found.first_difference) == (3, None)


def queued(room: Room) -> str:
    """A run of the old version that stands between two super-steps."""
    run_id = room.start(OLD, 7)
    with room.scope():
        fork = Fork(run_id=UUID(run_id), super_step=0, by=SYSTEM)
        return str(fork_run(fork, now=room.now()))


def test_a_mapped_run_is_replayed_rewound_and_forked_by_the_version_of_each_moment(
    room: Room, capsys: pytest.CaptureFixture[str]
) -> None:
    run_id = queued(room)
    mapped = Migration(state=lambda old: {**old, "notes": ["mapped"]})
    registry.register(a_version("2", new_end, migrates={"1": mapped}))
    told(room, capsys, *FORTH)
    room.go_on(run_id)

    with room.scope():
        forked = fork_run(Fork(run_id=UUID(run_id), super_step=0, by=SYSTEM), now=room.now())
        assert Run.objects.get(pk=forked).agent_version.version == "1"
        assert queries.steps(UUID(run_id), limit=9)[0].state == "committed"
        found = replay_run(UUID(run_id))
    assert found.first_difference is None
    assert room.output(run_id) == {"under": 2, "notes": ["mapped", "old", "paid 5 for 7"]}


def test_a_run_is_not_rewound_past_its_migration(
    room: Room, capsys: pytest.CaptureFixture[str]
) -> None:
    run_id = asleep(room)
    registry.register(NEW)
    done = told(room, capsys, *FORTH)

    with pytest.raises(IllegalMove, match="past its migration"):
        room.ground.rewind(run_id, 0)
    told(room, capsys, "--undo", done["migration"])
    room.ground.rewind(run_id, 0)

    assert room.state(run_id) == "queued"


def test_versions_that_are_not_there_and_words_that_do_not_fit_are_refused(room: Room) -> None:
    asleep(room)
    tenant = slug(room)
    registry.register(NEW)

    for words in (
        ("clerk", "--from", "1", "--to", "9"),
        ("clerk", "--from", "0", "--to", "2"),
        ("nobody", "--from", "1", "--to", "2"),
        ("clerk", "--from", "1", "--to", "1"),
        ("clerk", "--from", "1"),
        ("--undo", str(uuid4())),
        ("clerk", "--undo", str(uuid4())),
    ):
        with pytest.raises(CommandError):
            call_command("migrateruns", *words, tenant=tenant)


def test_runs_are_not_taken_to_a_version_that_changed_its_shape(room: Room) -> None:
    asleep(room)
    room.play(NEW, 1)
    more = graph(*NEW.graph.nodes.values(), Node(name="more", run=end), start="first")
    registry.register(Program(name="clerk", version="2", graph=more))

    with room.scope(), pytest.raises(UnknownAgent, match="with the shape it had"):
        between("clerk", origin="1", target="2")


def test_the_check_before_a_deploy_names_what_could_not_go_on(
    room: Room, capsys: pytest.CaptureFixture[str]
) -> None:
    run_id, tenant = asleep(room), slug(room)
    call_command("agent", "check", tenant=tenant)
    good = json.loads(capsys.readouterr().out.splitlines()[-1])
    registry._AGENTS.clear()

    with pytest.raises(SystemExit) as ended:
        call_command("agent", "check", tenant=tenant)
    bad = json.loads(capsys.readouterr().out.splitlines()[-1])
    room.decide(run_id, "approve")
    registry.register(OLD)
    call_command("agent", "check", resume=True, tenant=tenant)
    back = json.loads(capsys.readouterr().out.splitlines()[-1])
    room.go_on(run_id)

    assert (good["runs"], good["stranded"], ended.value.code) == (1, 0, 1)
    assert (bad["stranded"], bad["versions"][0]["agent"]) == (1, "clerk")
    assert bad["versions"][0]["states"] == {"interrupted (approval)": 1}
    assert "'clerk' version '1'" in bad["versions"][0]["why"]
    assert (back["stranded"], back["resumed"]) == (0, 1)
    assert room.output(run_id) == ["old", "paid 5 for 7"]
