"""A tenant's files have so many bytes at most: counted once for each content, and truly."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from policy.core.actor import SYSTEM
from policy.errors import InvalidSetting
from policy.models import AuditEvent, Tenant
from policy.operations.create_tenant import create_tenant
from policy.operations.set_tenant import set_file_quota
from runs import queries
from runs.agents import Context, FilesFull, Node, Program, graph
from runs.artifacts import Artifacts
from runs.artifacts.directory import Directory
from runs.artifacts.here import kept_here
from runs.artifacts.keeping import key_of
from runs.errors import ArtifactsAway
from runs.live import LiveWorld
from runs.operations.clear_artifacts import Cleared, clear_artifacts
from tests.http import Api, a_person, signed_in
from tests.integration.engine_room import Room

LATER = timedelta(hours=2)
COUNT = "SELECT runs_count_artifact(%s, %s, %s)"
WAITING = """
SELECT count(*) FROM pg_locks WHERE NOT granted AND transactionid = pg_current_xact_id()::xid
"""


def of(work: Callable[[Context], Any]) -> Program:
    return Program(name="w", version="1", graph=graph(Node(name="main", run=work), start="main"))


def bound(room: Room, most: int | None) -> None:
    with room.scope():
        set_file_quota(most, by=SYSTEM)


def used(room: Room) -> int:
    with room.scope():
        return queries.file_bytes()


def kept(room: Room) -> list[int]:
    """The sizes of what lies there."""
    lies = Path(settings.STATE_DIR, "artifacts", room.ground.tenant).rglob("*")
    return sorted(path.stat().st_size for path in lies if path.is_file())


def keep(room: Room, data: bytes) -> str:
    return LiveWorld().keep(room.ground.tenant, data)


def cleared(room: Room, artifacts: Artifacts | None = None, **more: Any) -> Cleared:
    return clear_artifacts(
        artifacts or kept_here(),
        tenant_id=UUID(room.ground.tenant),
        now=datetime.now(UTC) + LATER,
        age=timedelta(hours=1),
        by=SYSTEM,
        pause=0,
        **more,
    )


async def two(ctx: Context) -> dict[str, Any]:
    await ctx.files.write("fits", b"1234")
    await ctx.files.write("does not", b"12345678")
    return {"output": "both"}


async def catching(ctx: Context) -> dict[str, Any]:
    try:
        await ctx.files.write("big", bytes(100))
    except FilesFull:
        await ctx.files.write("small", bytes(10))
    return {"output": ctx.files.names()}


# --- What is refused --------------------------------------------------------------------------


def test_a_file_beyond_the_quota_fails_its_task_and_is_not_kept(room: Room) -> None:
    bound(room, 10)

    run_id = room.play(of(two))

    said = "the tenant's files have 4 of 10 bytes, and 8 more do not fit: its quota must be raised"
    assert room.state(run_id) == "failed"
    assert room.error(run_id).startswith(f"permanent_dependency: main: {said}")
    assert (kept(room), used(room)) == ([4], 4)
    with room.scope():
        assert queries.files(UUID(run_id), None).files == ()


def test_a_task_may_do_with_less(room: Room) -> None:
    bound(room, 10)

    run_id = room.play(of(catching))

    assert (room.output(run_id), kept(room), used(room)) == (["small"], [10], 10)


def test_without_a_quota_everything_is_kept_and_counted(room: Room) -> None:
    run_id = room.play(of(two))

    assert (room.output(run_id), used(room)) == ("both", 12)


def test_a_quota_of_one_tenant_is_none_of_anothers(room: Room) -> None:
    bound(room, 1)
    other = create_tenant(f"o-{room.ground.tenant}", "o", policy=None)

    LiveWorld().keep(str(other), b"more than one")

    assert used(room) == 0


def test_a_lower_quota_than_what_is_kept_takes_nothing_away(room: Room) -> None:
    digest = keep(room, b"12345678")
    bound(room, 4)

    with pytest.raises(FilesFull, match="8 of 4 bytes, and 1 more"):
        keep(room, b"1")

    assert LiveWorld().kept(room.ground.tenant, digest) == b"12345678"
    assert keep(room, b"12345678") == digest


# --- What counts ------------------------------------------------------------------------------


def test_the_same_content_costs_nothing_twice(room: Room) -> None:
    bound(room, 12)

    outputs = [room.output(room.play(of(two))) for _ in range(3)]

    assert (outputs, used(room)) == (["both"] * 3, 12)


def test_of_many_at_once_as_many_are_kept_as_there_is_room_for(room: Room) -> None:
    bound(room, 50)

    def attempt(number: int) -> bool:
        try:
            keep(room, f"content {number:02}".encode())
        except FilesFull:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        done = list(threads.map(attempt, range(24)))

    assert (sum(done), kept(room), used(room)) == (5, [10] * 5, 50)


def test_the_same_content_from_many_at_once_counts_once(room: Room) -> None:
    bound(room, 10)

    with ThreadPoolExecutor(8) as threads:
        digests = set(threads.map(lambda _: keep(room, b"0123456789"), range(24)))

    assert (len(digests), used(room)) == (1, 10)


@contextmanager
def counting(room: Room, data: bytes) -> Iterator[psycopg.Connection]:
    """Somebody who counts a content, and whose transaction ends with this."""
    with psycopg.connect(os.environ["DATABASE_URL"]) as other:
        digest = hashlib.sha256(data).hexdigest()
        told = other.execute(COUNT, [room.ground.tenant, digest, len(data)]).fetchone()
        assert told == (None,)
        yield other


def wait_for_one_who_waits(asking: psycopg.Connection) -> None:
    until = time.monotonic() + 20
    while not asking.execute(WAITING).fetchone()[0]:  # type: ignore[index]
        assert time.monotonic() < until, "nobody waits"
        time.sleep(0.02)


def test_who_counts_meanwhile_waits_and_is_refused_what_does_not_fit_any_more(room: Room) -> None:
    keep(room, b"1")
    bound(room, 10)

    with ThreadPoolExecutor(1) as threads:
        with counting(room, b"first") as other:
            second = threads.submit(keep, room, b"second")
            wait_for_one_who_waits(other)
        with pytest.raises(FilesFull, match="6 of 10 bytes, and 6 more"):
            second.result()

    assert used(room) == 6


def test_who_counts_the_same_meanwhile_waits_and_counts_it_no_second_time(room: Room) -> None:
    keep(room, b"1")
    bound(room, 10)

    with ThreadPoolExecutor(1) as threads, counting(room, b"same") as other:
        second = threads.submit(keep, room, b"same")
        wait_for_one_who_waits(other)

    assert LiveWorld().kept(room.ground.tenant, second.result()) == b"same"
    assert used(room) == 5


# --- What counts no more ----------------------------------------------------------------------


def test_what_is_cleared_away_makes_room(room: Room) -> None:
    bound(room, 10)
    keep(room, b"0123456789")
    with pytest.raises(FilesFull):
        keep(room, b"more")

    assert cleared(room, dry_run=True).cleared == 0
    assert used(room) == 10
    assert cleared(room).cleared == 1

    assert (kept(room), used(room)) == ([], 0)
    keep(room, b"more")


def test_what_a_state_names_counts_on(room: Room) -> None:
    room.play(of(two))

    assert cleared(room).cleared == 0

    assert (kept(room), used(room)) == ([4, 8], 12)


def test_what_could_not_be_stored_is_counted_until_it_is_cleared(room: Room) -> None:
    digest = keep(room, b"0123456789")
    place = Path(settings.STATE_DIR, "artifacts", key_of(room.ground.tenant, digest))
    place.unlink()
    place.mkdir()
    with pytest.raises(ArtifactsAway):
        keep(room, b"0123456789")
    place.rmdir()
    assert used(room) == 10

    assert cleared(room) == Cleared(old=0, unnamed=0, cleared=0)

    assert used(room) == 0


class Stuck(Directory):
    """A directory that removes one file, and is then away."""

    removed = 0

    def delete(self, name: str) -> None:
        if self.removed:
            raise RuntimeError("503")
        self.removed += 1
        super().delete(name)


def test_what_was_cleared_before_the_storage_went_away_is_counted_no_more(room: Room) -> None:
    for data in (b"01234", b"56789", b"abcde"):
        keep(room, data)
    stuck = Stuck(location=Path(settings.STATE_DIR, "artifacts"))

    with pytest.raises(ArtifactsAway):
        cleared(room, artifacts=Artifacts(lambda: stuck))

    assert (kept(room), used(room)) == ([5, 5], 10)
    with room.scope():
        [event] = AuditEvent.objects.filter(action="artifacts.cleared")
    assert event.detail == {"artifacts": 1}


def test_what_lies_there_still_is_counted_still(room: Room) -> None:
    """Bytes that are younger than their row: whoever wrote them took a while."""
    digest = keep(room, b"0123456789")
    place = Path(settings.STATE_DIR, "artifacts", key_of(room.ground.tenant, digest))
    young = (datetime.now(UTC) + LATER).timestamp()
    os.utime(place, (young, young))

    assert cleared(room) == Cleared(old=0, unnamed=0, cleared=0)

    assert used(room) == 10


# --- Set and shown ----------------------------------------------------------------------------


def test_a_quota_is_set_shown_and_audited(room: Room, capsys: pytest.CaptureFixture[str]) -> None:
    tenant = UUID(room.ground.tenant)
    with room.scope():
        slug = Tenant.objects.get(pk=tenant).slug
    keep(room, bytes(2000))

    call_command("tenant", "set", slug, "--max-file-bytes", "4000")

    assert "files            2,000 of 4,000 bytes" in capsys.readouterr().out
    told = Api(tenant, "viewer").get("/api/v1/queue").json()
    assert (told["file_bytes"], told["max_file_bytes"]) == (2000, 4000)
    page = signed_in(a_person(tenant, "viewer"), tenant).get("/admin/gates/").content.decode()
    assert "2.0\xa0KB of 3.9\xa0KB" in page
    with room.scope():
        [event] = AuditEvent.objects.filter(action="tenant.set")
    assert event.detail == {"max_file_bytes": 4000, "before": None}

    call_command("tenant", "set", slug, "--max-file-bytes", "none")
    assert "files            2,000 bytes" in capsys.readouterr().out
    with pytest.raises(CommandError, match="no whole number"):
        call_command("tenant", "set", slug, "--max-file-bytes", "0")


@pytest.mark.parametrize(
    ("most", "mark"), [(2223, ""), (2222, "nearly full"), (2001, "nearly full"), (2000, "full")]
)
def test_files_that_are_nearly_full_are_marked(room: Room, most: int, mark: str) -> None:
    tenant = UUID(room.ground.tenant)
    keep(room, bytes(2000))
    bound(room, most)

    page = signed_in(a_person(tenant, "viewer"), tenant).get("/admin/gates/").content.decode()

    card = page.partition("<h3>Files</h3>")[2].partition("</section>")[0]
    assert re.findall(r'ao-bad">(.*?)<', card) == [mark] * bool(mark)


@pytest.mark.parametrize("most", [0, -1, 10**18 + 1])
def test_a_quota_that_is_none_is_refused(room: Room, most: int) -> None:
    with room.scope(), pytest.raises(InvalidSetting, match="a quota is"):
        set_file_quota(most, by=SYSTEM)
