"""The history of ended runs is removed after the days that their tenant keeps it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.db import Error, connection

from policy.core.actor import SYSTEM
from policy.models import AuditEvent, Tenant
from policy.operations.set_tenant import set_retention
from runs import queries
from runs.agents import Channel, Node, Program, Reducer, graph
from runs.errors import HistoryGone, UnknownCheckpoint
from runs.models import Checkpoint, RunEvent, Task
from runs.operations.fork import Fork, fork_run
from runs.sweep import Sweeper
from tests.http import Api
from tests.integration.engine_room import Room
from tests.unit.runs import desk

DAY = 24 * 3600


def notes(ctx: Any) -> dict[str, Any]:
    return {"notes": [f"after {ctx.super_step}"]}


async def asks(ctx: Any) -> dict[str, Any]:
    said = await ctx.tool("desk.note", text="a secret")
    return {"notes": [said], "output": "done"}


def breaks(_: Any) -> None:
    raise ValueError("it broke")


def program(last: Any = asks) -> Program:
    shape = graph(
        Node(name="one", run=notes, then=("two",)),
        Node(name="two", run=notes, then=("three",)),
        Node(name="three", run=last),
        start="one",
        channels={"notes": Channel(reducer=Reducer.LOG)},
    )
    return Program(name="noting", version="1", graph=shape, tools=("desk.*",))


@pytest.fixture(autouse=True)
def _new_world() -> None:
    desk.world.forget()


def keep(room: Room, days: int | None) -> None:
    with room.scope():
        set_retention(days, by=SYSTEM)


def age(room: Room, run_id: str, days: float) -> None:
    """Move a run's end back in time."""
    with room.scope(), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE runs_run SET finished_at = finished_at - %s * interval '1 day' WHERE id = %s",
            [days, run_id],
        )


def forget(room: Room) -> None:
    """Have the sweeper tidy up, as the system."""
    Sweeper(pool=room.ground.system, send=list, backlog=lambda: 0).tidy()


def removed(room: Room, run_id: str) -> bool:
    return room.row(run_id).history_removed_at is not None


def an_old_run(room: Room, last: Any = asks) -> str:
    run_id = room.play(program(last), {"who": "Ann"})
    age(room, run_id, 31)
    return run_id


def test_what_an_old_run_came_to_stays_and_how_it_came_there_goes(room: Room) -> None:
    keep(room, 30)
    run_id = an_old_run(room)
    with room.scope():
        before, whole = queries.run(UUID(run_id)), queries.state(UUID(run_id), None)

    forget(room)

    with room.scope():
        after = queries.run(UUID(run_id))
        assert queries.state(UUID(run_id), None) == whole
        assert (after.input, after.output, after.state) == ({"who": "Ann"}, "done", "succeeded")
        assert (after.super_step, after.created_at) == (before.super_step, before.created_at)
        assert [c.super_step for c in queries.checkpoints(UUID(run_id), after=2, limit=9)] == [3]
        assert [e.type for e in queries.last_events(UUID(run_id), limit=9)] == ["run.succeeded"]
        (effect,) = queries.effects(UUID(run_id), after=None, limit=9)
        assert (effect.name, effect.state, effect.request, effect.outcome) == (
            "desk.note",
            "done",
            None,
            None,
        )
        assert not Task.objects.filter(run_id=run_id).exists()
    assert removed(room, run_id)


def test_each_removal_is_audited_with_what_was_removed_and_no_audit_event_goes(room: Room) -> None:
    keep(room, 30)
    run_id = an_old_run(room)
    before = room.ground.audit(run_id)

    forget(room)
    forget(room)

    assert room.ground.audit(run_id) == [*before, "run.history_removed"]
    with room.scope():
        told = AuditEvent.objects.get(action="run.history_removed")
    assert told.actor == "system:sweeper"
    assert told.detail["checkpoints"] == 3
    assert (told.detail["effects"], told.detail["days"]) == (1, 30)


@pytest.mark.parametrize("days", [None, 32])
def test_what_is_young_enough_or_kept_for_ever_stays(room: Room, days: int | None) -> None:
    keep(room, days)
    run_id = an_old_run(room)

    forget(room)

    assert not removed(room, run_id)


def test_a_live_run_keeps_its_history_however_old_it_is(room: Room) -> None:
    keep(room, 1)

    async def waits(ctx: Any) -> dict[str, Any]:
        await ctx.wait_signal("go")
        return {"output": 1}

    run_id = room.play(program(waits))
    room.pass_time(run_id, 90 * DAY)

    forget(room)

    assert not removed(room, run_id)
    assert room.state(run_id) == "waiting"


def test_a_child_keeps_its_history_while_its_parent_is_at_work(room: Room) -> None:
    keep(room, 30)
    parent = room.play(program())
    child = an_old_run(room)
    with room.scope(), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE runs_run SET parent_id = %s, ancestor_ids = ARRAY[%s]::uuid[] WHERE id = %s",
            [parent, parent, child],
        )
        cursor.execute(
            "UPDATE runs_run SET state = 'queued', finished_at = NULL WHERE id = %s", [parent]
        )

    forget(room)
    while_at_work = removed(room, child)
    with room.scope(), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE runs_run SET state = 'failed', finished_at = now() WHERE id = %s", [parent]
        )
    forget(room)

    assert (while_at_work, removed(room, child), removed(room, parent)) == (False, True, False)


def test_a_parent_keeps_its_history_while_a_child_is_at_work(room: Room) -> None:
    keep(room, 30)
    parent = an_old_run(room)
    child = room.start(program())
    with room.scope(), connection.cursor() as cursor:
        cursor.execute("UPDATE runs_run SET parent_id = %s WHERE id = %s", [parent, child])

    forget(room)

    assert not removed(room, parent)


def test_time_travel_says_plainly_that_history_is_gone(room: Room) -> None:
    keep(room, 30)
    run_id = UUID(an_old_run(room))
    forget(room)

    with room.scope():
        for read in (
            lambda: queries.state(run_id, 1),
            lambda: queries.diff(run_id, 0, None),
            lambda: queries.steps(run_id, limit=9),
            lambda: queries.events(run_id, limit=9),
            lambda: queries.checkpoints(run_id, limit=9),
            lambda: fork_run(Fork(run_id=run_id, super_step=1, by=SYSTEM), now=room.now()),
        ):
            with pytest.raises(HistoryGone, match="removed on"):
                read()
        with pytest.raises(UnknownCheckpoint):
            queries.state(run_id, 9)
    with pytest.raises(CommandError, match="removed on"):
        call_command("replay", str(run_id), tenant=slug(room))


def test_a_failed_run_can_still_be_forked_from_its_newest_checkpoint(room: Room) -> None:
    keep(room, 30)
    run_id = an_old_run(room, breaks)
    before = room.row(run_id).super_step
    forget(room)
    room.start(program())  # code that does not break any more
    room.drive()

    with room.scope():
        forked = fork_run(Fork(run_id=UUID(run_id), super_step=before, by=SYSTEM), now=room.now())
    room.go_on(str(forked))

    assert removed(room, run_id)
    assert room.output(str(forked)) == "done"
    with room.scope():
        told = queries.state(forked, None).channels["notes"]
    assert told == ["after 0", "after 1", "noted a secret"]


def test_a_rewound_run_keeps_what_was_not_left_behind(room: Room) -> None:
    keep(room, 30)

    async def waits(ctx: Any) -> dict[str, Any]:
        await ctx.wait_signal("go")
        return {"output": 1}

    run_id = room.play(program(waits))
    room.ground.rewind(run_id, 1)
    room.go_on(run_id)
    room.ground.cancel(run_id)
    age(room, run_id, 31)
    with room.scope():
        whole = queries.state(UUID(run_id), None).channels

    forget(room)

    with room.scope():
        assert queries.state(UUID(run_id), None).channels == whole
    assert whole["notes"] == ["after 0", "after 3"]
    assert removed(room, run_id)


def test_nobody_else_can_remove_a_checkpoint_or_an_event(room: Room) -> None:
    run_id = room.play(program())

    for model in (Checkpoint, RunEvent):
        with pytest.raises(Error, match=r"permission denied|append-only"), room.scope():
            model.objects.filter(run_id=run_id).delete()
    with room.ground.system.connection() as system, pytest.raises(Exception, match="append-only"):
        system.execute("DELETE FROM runs_checkpoint WHERE run_id = %s", [run_id])
    with (
        room.scope(),
        pytest.raises(Error, match="permission denied"),
        connection.cursor() as asked,
    ):
        asked.execute("SELECT runs_forget(%s, %s, 0, 'me')", [room.ground.tenant, run_id])


def slug(room: Room) -> str:
    with room.scope():
        return Tenant.objects.get(pk=room.ground.tenant).slug


def test_over_http_what_is_gone_is_410_and_the_run_is_not(room: Room) -> None:
    keep(room, 30)
    run_id = an_old_run(room)
    forget(room)
    api = Api(UUID(room.ground.tenant), "operator")

    for gone in ("steps", "events", "checkpoints", "state?at=0", "checkpoints/diff?from=0"):
        answer = api.get(f"/api/v1/runs/{run_id}/{gone}")
        assert (answer.status_code, answer.json()["code"]) == (410, "history_gone"), gone
    for there in ("", "/state", "/effects", "/irreversible", "/events?after=99"):
        assert api.get(f"/api/v1/runs/{run_id}{there}").status_code == 200, there
    assert api.get(f"/api/v1/runs/{run_id}").json()["history_removed_at"] is not None
