"""What PostgreSQL tells of a run: its events by pages, and no more rows read than are wanted."""

from __future__ import annotations

from uuid import UUID

from policy import tenancy
from runs import queries
from runs.core.lifecycle import RunState
from tests.contract.builds import a_save, a_tool, done, moved, put
from tests.contract.grounds import LEASE, claim
from tests.contract.postgres_ground import PostgresGround

LONG = 300
ENOUGH = 2 * LONG
WIDE = "x" * 1500  # of which a page holds five


def carried(ground: PostgresGround, run_id: str, steps: int) -> None:
    """Go on with a run for so many super-steps, some with effects or news; leave it queued."""
    claimed = claim(ground, run_id)
    for step in range(1, steps + 1):
        state = RunState.QUEUED if step == steps else RunState.RUNNING
        if step % 7 == 3:
            put(ground, claimed, a_tool())
            save = a_save(claimed, state, effects=[done()])
        else:
            news = [("note", {"step": step})][: step % 5 == 0]
            save = a_save(claimed, state, writes={"sum": WIDE}, events=news)
        ground.store.save(claimed.lease, save, ttl=LEASE)
        claimed = moved(claimed)


def with_a_past(ground: PostgresGround) -> str:
    """A run whose events come from its rows and its checkpoints, one rewind between."""
    run_id = ground.start("a")
    carried(ground, run_id, 12)
    ground.rewind(run_id, 4)
    carried(ground, run_id, 3)
    return run_id


def test_events_from_two_places_are_one_sequence(postgres: PostgresGround) -> None:
    run_id = with_a_past(postgres)

    with tenancy.scope(UUID(postgres.tenant)):
        told = queries.events(UUID(run_id), limit=ENOUGH)

    assert [event.seq for event in told] == list(range(1, len(told) + 1))
    commits = [event.data for event in told if event.type == "super_step.committed"]
    assert [data["super_step"] for data in commits] == [*range(1, 13), 14, 15, 16]
    assert all(data["tasks"] == ["a"] for data in commits)
    assert [event.at for event in told] == sorted(event.at for event in told)


def test_pages_of_events_begin_anywhere(postgres: PostgresGround) -> None:
    run_id = UUID(with_a_past(postgres))
    with tenancy.scope(UUID(postgres.tenant)):
        told = queries.events(run_id, limit=ENOUGH)
        newest = queries.last_events(run_id, limit=ENOUGH)

        pages = {
            (after, limit): queries.events(run_id, after=after, limit=limit)
            for after in range(len(told) + 2)
            for limit in (1, 3, ENOUGH)
        }
        ends = [queries.last_events(run_id, limit=limit) for limit in range(1, len(told) + 2)]

    assert pages == {(after, limit): told[after : after + limit] for after, limit in pages}
    assert newest == told[::-1]
    assert ends == [newest[:limit] for limit in range(1, len(told) + 2)]


def test_a_long_run_is_loaded_and_told_with_as_few_pages_as_a_short_one(
    postgres: PostgresGround,
) -> None:
    short, long = postgres.start("a"), postgres.start("a")
    carried(postgres, short, 5)
    carried(postgres, long, LONG)

    loads = [
        postgres.pages_read("runs_load(%s, %s, %s)", postgres.tenant, run_id, steps)
        for run_id, steps in ((short, 5), (long, LONG))
    ]
    tails = [
        postgres.pages_read("runs_events(%s, %s, 5)", run_id, steps)
        for run_id, steps in ((short, 3), (long, LONG))
    ]

    assert loads[1] <= loads[0] + 10
    assert tails[1] <= tails[0] + 60  # a search by halves, a few pages for each of its looks
