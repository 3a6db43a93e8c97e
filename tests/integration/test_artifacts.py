"""Files through the real engine: rewound, forked, replayed, and given out to be saved."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection

from policy.core.actor import SYSTEM
from policy.models import AuditEvent, Tenant
from policy.operations.create_tenant import create_tenant
from policy.operations.set_tenant import set_retention
from runs import queries
from runs.agents import Context, Node, Program, Send, Step, graph
from runs.artifacts.here import kept_here
from runs.artifacts.keeping import key_of
from runs.operations.clear_artifacts import Cleared, clear_artifacts
from runs.operations.replay import replay_run
from tests.http import Api
from tests.integration.artifact_desk import SAID, SCRIPT, hold
from tests.integration.engine_room import Room
from tests.integration.test_retention import age, forget, removed
from tests.operator import Operator
from tests.unit.runs import desk


@pytest.fixture(autouse=True)
def _new_world() -> Iterator[None]:
    desk.world.forget()
    yield
    SAID["text"] = "first"


@pytest.fixture
def api(room: Room) -> Api:
    return Api(UUID(room.ground.tenant), "operator")


@pytest.fixture
def held(room: Room) -> str:
    return hold(room)


def names(api: Api, run_id: str, at: str = "") -> list[str]:
    answer = api.get(f"/api/v1/runs/{run_id}/artifacts{at}")
    assert answer.status_code == 200, answer.content
    return [row["name"] for row in answer.json()["results"]]


def got(api: Api, run_id: str, name: str, at: str = "") -> bytes:
    answer = api.get(f"/api/v1/runs/{run_id}/artifacts/{name}{at}")
    assert answer.status_code == 200, answer.content
    return bytes(answer.content)


def kept(room: Room, digest: str) -> Path:
    return Path(settings.STATE_DIR, "artifacts", key_of(room.ground.tenant, digest))


# --- Time travel ------------------------------------------------------------------------------


def test_every_moment_has_its_own_files(api: Api, held: str) -> None:
    assert names(api, held, "?at=0") == []
    assert names(api, held, "?at=1") == ["pages/evil.html", "report.md"]
    assert names(api, held) == ["report.md"]
    assert got(api, held, "report.md", "?at=1") == b"draft"
    assert got(api, held, "report.md") == b"draftfirst"
    changed = api.get(f"/api/v1/runs/{held}/checkpoints/diff?from=1&to=2").json()["changes"]
    assert [change["channel"] for change in changed] == ["files"]


def test_a_rewind_takes_the_files_back(room: Room, api: Api, held: str) -> None:
    SAID["text"] = "second"
    path = f"/api/v1/runs/{held}/rewind"
    assert api.post(path, {"super_step": 1, "accept_irreversible": True}).status_code == 202
    assert names(api, held) == ["pages/evil.html", "report.md"]
    assert got(api, held, "report.md") == b"draft"

    room.go_on(held)
    room.decide(held, "approve")

    assert room.output(held) == [["report.md"], "draftsecond"]
    assert got(api, held, "report.md", "?at=2") == b"draftfirst"


def test_a_fork_begins_with_the_files_of_its_moment(room: Room, api: Api, held: str) -> None:
    SAID["text"] = "aside"
    made = api.post(f"/api/v1/runs/{held}/fork", {"super_step": 1}).json()["run"]["id"]
    assert got(api, made, "report.md") == b"draft"

    room.go_on(made)
    room.decide(made, "approve")

    assert room.output(made) == [["report.md"], "draftaside"]
    assert got(api, held, "report.md") == b"draftfirst"


def test_a_fork_takes_no_state_of_files_that_is_none(api: Api, held: str) -> None:
    edits = {"super_step": 1, "state": {"files": {"../a": {}}}}

    refused = api.post(f"/api/v1/runs/{held}/fork", edits)

    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/state/files")


def test_a_replay_finds_the_same_files_and_writes_nothing(room: Room, held: str) -> None:
    room.decide(held, "approve")
    before = sorted(Path(settings.STATE_DIR, "artifacts", room.ground.tenant).rglob("*"))

    with room.scope():
        found = replay_run(UUID(held))

    assert (found.first_difference, found.super_steps) == (None, 3)
    assert sorted(Path(settings.STATE_DIR, "artifacts", room.ground.tenant).rglob("*")) == before


def test_a_replay_of_a_rewound_run_finds_the_same_files(room: Room, api: Api, held: str) -> None:
    back = {"super_step": 1, "accept_irreversible": True}
    assert api.post(f"/api/v1/runs/{held}/rewind", back).status_code == 202
    room.go_on(held)
    room.decide(held, "approve")

    with room.scope():
        found = replay_run(UUID(held))

    assert (found.first_difference, found.super_steps) == (None, 5)


def test_a_replay_notices_other_bytes(room: Room, held: str) -> None:
    SAID["text"] = "something else"

    with room.scope():
        found = replay_run(UUID(held))

    assert found.super_steps == 1
    assert found.first_difference is not None
    assert "super-step 1 wrote {'files'" in found.first_difference


# --- Cleared away -----------------------------------------------------------------------------


def cleared(room: Room, **more: Any) -> Cleared:
    return clear_artifacts(
        kept_here(),
        tenant_id=UUID(room.ground.tenant),
        now=datetime.now(UTC) + timedelta(hours=2),
        age=timedelta(hours=1),
        by=SYSTEM,
        pause=0,
        **more,
    )


def test_what_no_moment_names_is_cleared_and_nothing_else(room: Room, api: Api, held: str) -> None:
    tenant = room.ground.tenant
    lost = kept_here().keep(tenant, b"of a task that never ended")

    assert cleared(room, dry_run=True) == Cleared(old=4, unnamed=1, cleared=0)
    assert kept(room, lost).exists()
    assert cleared(room) == Cleared(old=4, unnamed=1, cleared=1)

    assert not kept(room, lost).exists()
    assert got(api, held, "report.md", "?at=1") == b"draft"
    assert got(api, held, "pages/evil.html", "?at=1").decode() == SCRIPT
    assert got(api, held, "report.md") == b"draftfirst"
    with room.scope():
        [told] = AuditEvent.objects.filter(action="artifacts.cleared")
    assert told.detail == {"artifacts": 1}


def test_what_was_removed_with_the_history_is_cleared(room: Room, api: Api, held: str) -> None:
    room.decide(held, "approve")
    with room.scope():
        set_retention(1, by=SYSTEM)
    age(room, held, 2)
    forget(room)
    assert removed(room, held)

    assert cleared(room) == Cleared(old=3, unnamed=2, cleared=2)

    assert got(api, held, "report.md") == b"draftfirst"


def test_files_are_listed_while_the_history_is_removed(room: Room, held: str) -> None:
    room.decide(held, "approve")
    with room.scope():
        set_retention(1, by=SYSTEM)
    age(room, held, 2)

    def between(execute: Any, sql: str, *given: Any) -> Any:
        if '"writes"' in sql:
            forget(room)
        return execute(sql, *given)

    with room.scope(), connection.execute_wrapper(between):
        found = queries.files(UUID(held), None)

    assert removed(room, held)
    assert [file.name for file in found.files] == ["report.md"]


async def spread(_: Context) -> Step:
    return Step(next=(Send(node="file", arg="write"), Send(node="file", arg="ask")))


async def file(ctx: Context) -> None:
    if ctx.arg == "write":
        await ctx.files.write("kept", "while a sibling waits")
    else:
        await ctx.tool("desk.pay", order=1, amount=5)


def test_what_a_finished_task_wrote_stays_while_its_sibling_waits(room: Room, api: Api) -> None:
    room.apply("rules: [{name: payments, decision: require_approval, tools: desk.pay}]")
    nodes = Node(name="spread", run=spread), Node(name="file", run=file)
    shape = graph(*nodes, start="spread")
    run_id = room.play(Program(name="fan", version="1", graph=shape, tools=("desk.*",)))
    assert (room.state(run_id), names(api, run_id)) == ("interrupted", [])

    assert cleared(room) == Cleared(old=1, unnamed=0, cleared=0)
    room.decide(run_id, "approve")

    assert got(api, run_id, "kept") == b"while a sibling waits"


def test_what_is_young_is_never_cleared(room: Room) -> None:
    with pytest.raises(ValueError, match="an hour"):
        clear_artifacts(
            kept_here(),
            tenant_id=UUID(room.ground.tenant),
            now=datetime.now(UTC),
            age=timedelta(minutes=59),
            by=SYSTEM,
        )


@pytest.mark.usefixtures("held")
def test_the_command_says_what_it_found(room: Room, capsys: pytest.CaptureFixture[str]) -> None:
    with room.scope():
        slug = Tenant.objects.get(pk=room.ground.tenant).slug

    call_command("artifacts", "--tenant", slug, "--dry-run")

    found = {"old": 0, "unnamed": 0, "cleared": 0, "dry_run": True}
    assert json.loads(capsys.readouterr().out) == found
    with pytest.raises(CommandError, match="an hour"):
        call_command("artifacts", "--tenant", slug, "--hours", "0.5")
    with pytest.raises(CommandError, match="infinity"):
        call_command("artifacts", "--tenant", slug, "--hours", "inf")


def test_a_tenant_that_cannot_be_looked_through_does_not_stop_the_others(
    room: Room, tmp_path: Path
) -> None:
    other = str(create_tenant("zz-looked-through-last", "Last", policy=None))
    place = Path(settings.STATE_DIR, "artifacts")
    lost = place / key_of(other, kept_here().keep(other, b"x"))
    os.utime(lost, (0, 0))
    (in_the_way := place / room.ground.tenant).write_text("no folder")

    with Operator(tmp_path, {}) as operator:
        told = operator.run("artifacts", "--dry-run")

    in_the_way.unlink()
    assert (told.returncode, json.loads(told.stdout)["unnamed"]) == (1, 1)
    assert "Not a directory" in told.stderr


# --- Given out --------------------------------------------------------------------------------


def test_a_file_is_given_to_be_saved_and_never_run(api: Api, held: str) -> None:
    evil = api.get(f"/api/v1/runs/{held}/artifacts/pages/evil.html?at=1", Accept="image/png")
    plain = api.get(f"/api/v1/runs/{held}/artifacts/report.md")

    assert evil.content.decode() == SCRIPT
    assert evil["Content-Type"] == "application/octet-stream"
    assert evil["Content-Disposition"] == 'attachment; filename="evil.html"'
    assert evil["X-Content-Type-Options"] == "nosniff"
    assert evil["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert plain["Content-Type"] == "text/markdown"


@pytest.mark.parametrize("asked", ["nothing.md", "report.md?at=9", "../state", "report.md/"])
def test_what_is_not_there_is_not_found(api: Api, held: str, asked: str) -> None:
    assert api.get(f"/api/v1/runs/{held}/artifacts/{asked}").status_code in {404, 301}


def test_damaged_and_missing_bytes_are_told_and_never_given(
    room: Room, api: Api, held: str
) -> None:
    path = f"/api/v1/runs/{held}/artifacts"
    digest = api.get(path).json()["results"][0]["digest"]
    kept(room, digest).write_bytes(b"other")
    damaged = api.get(f"{path}/report.md")
    kept(room, digest).unlink()
    missing = api.get(f"{path}/report.md")

    for answer in (damaged, missing):
        assert (answer.status_code, answer.json()["code"]) == (500, "artifact_lost")
    room.decide(held, "approve")
    assert room.error(held).startswith("permanent_dependency: ask: the artifact")


def test_a_storage_that_is_away_is_told_without_where_it_is(
    room: Room, api: Api, held: str
) -> None:
    path = f"/api/v1/runs/{held}/artifacts"
    place = kept(room, api.get(path).json()["results"][0]["digest"])
    place.unlink()
    place.mkdir()

    answer = api.get(f"{path}/report.md")
    room.decide(held, "approve")

    assert (answer.status_code, answer.json()["code"]) == (503, "artifacts_unavailable")
    said = "the storage of artifacts cannot be reached (IsADirectoryError)"
    assert answer.json()["detail"] == said
    assert room.error(held) == f"transient_dependency: ask: {said}"


def test_a_viewer_sees_that_a_file_is_there_and_not_what_it_holds(room: Room, held: str) -> None:
    viewer = Api(UUID(room.ground.tenant), "viewer")

    [row] = viewer.get(f"/api/v1/runs/{held}/artifacts").json()["results"]

    assert row == {"name": "report.md", "size": None, "media_type": "masked", "digest": "masked"}
    assert viewer.get(f"/api/v1/runs/{held}/artifacts/report.md").status_code == 403


def test_the_same_bytes_are_kept_apart_for_each_tenant(room: Room, held: str, api: Api) -> None:
    digest = api.get(f"/api/v1/runs/{held}/artifacts").json()["results"][0]["digest"]
    stranger = Api(create_tenant(f"s-{held}", "s", policy=None), "admin")

    refused = stranger.get(f"/api/v1/runs/{held}/artifacts/report.md")

    assert refused.status_code == 404
    assert kept(room, digest).exists()
    assert kept(room, digest).parts[-3] == room.ground.tenant
