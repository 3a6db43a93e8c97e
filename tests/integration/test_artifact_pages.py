"""Files on the pages of people: those of a run, and those of a moment of it."""

from __future__ import annotations

import os
from uuid import UUID

import psycopg
import pytest

from runs.agents import Context, Node, Program, graph
from tests.http import a_person, signed_in
from tests.integration.artifact_desk import SCRIPT, hold
from tests.integration.engine_room import Room
from tests.unit.runs import desk

NEWER = """
INSERT INTO runs_checkpoint (tenant_id, run_id, super_step, fencing_token, head, writes)
SELECT tenant_id, run_id, 3, fencing_token, head || '{"v": 99}', '{}' FROM runs_checkpoint
WHERE run_id = %s AND super_step = 2
"""


@pytest.fixture(autouse=True)
def _new_world() -> None:
    desk.world.forget()


@pytest.fixture
def held(room: Room) -> str:
    return hold(room)


def test_the_page_of_a_moment_lists_files_and_gives_them(room: Room, held: str) -> None:
    tenant = UUID(room.ground.tenant)
    page, link = f"/admin/runs/{held}/moment?at=1", f"/admin/runs/{held}/files/pages/evil.html?at=1"
    people = {role: signed_in(a_person(tenant, role), tenant) for role in ("viewer", "operator")}

    shown = people["operator"].get(page).content.decode()
    given = people["operator"].get(link)

    assert link in shown
    assert (given.content.decode(), given["Content-Type"]) == (SCRIPT, "application/octet-stream")
    assert link not in people["viewer"].get(page).content.decode()
    assert people["viewer"].get(link).status_code == 403
    assert people["operator"].get(link.replace("evil", "none")).status_code == 404


def a_page(room: Room, run_id: str, role: str = "operator") -> str:
    tenant = UUID(room.ground.tenant)
    shown = signed_in(a_person(tenant, role), tenant).get(f"/admin/runs/{run_id}/")
    assert shown.status_code == 200
    return str(shown.content.decode())


def test_the_page_of_a_run_lists_its_files_of_now(room: Room, held: str) -> None:
    link, moment = f"/admin/runs/{held}/files/report.md?at=2", f"/admin/runs/{held}/moment?at=2"

    shown = a_page(room, held).partition('id="files"')[2].partition("</section>")[0]

    assert link in shown
    assert moment in shown
    assert "10\xa0bytes" in shown
    assert "text/markdown" in shown
    assert "evil.html" not in shown


def test_the_page_of_a_run_shows_a_viewer_that_there_are_files(room: Room, held: str) -> None:
    shown = a_page(room, held, "viewer").partition('id="files"')[2].partition("</section>")[0]

    assert "report.md" in shown
    for hidden in ("/files/report.md", "10\xa0bytes", "text/markdown"):
        assert hidden not in shown


async def many(ctx: Context) -> None:
    for number in range(60):
        await ctx.files.write(f"page {number:02}", "text")


def test_the_page_of_a_run_lists_so_many_and_says_how_many_more(room: Room) -> None:
    shape = graph(Node(name="many", run=many), start="many")
    run_id = room.play(Program(name="many", version="1", graph=shape))

    shown = a_page(room, run_id)

    assert "page 49" in shown
    assert "page 50" not in shown
    assert "And 10 more" in shown


async def nothing(_: Context) -> None: ...


def test_the_page_of_a_run_without_files_does_not_speak_of_any(room: Room) -> None:
    shape = graph(Node(name="spread", run=nothing), start="spread")
    run_id = room.play(Program(name="none", version="1", graph=shape))

    assert room.state(run_id) == "succeeded"
    assert 'id="files"' not in a_page(room, run_id)


def test_the_page_of_a_run_of_newer_code_is_shown_without_files(room: Room, held: str) -> None:
    with psycopg.connect(os.environ["DATABASE_URL"]) as database:
        database.execute(NEWER, [held])
        database.execute("UPDATE runs_run SET super_step = 3 WHERE id = %s", [held])

    assert 'id="files"' not in a_page(room, held)
