"""Too many runs are refused, and told when to come back; who waits sees where it stands."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection, transaction
from django.test import override_settings

from policy import tenancy
from policy.core.actor import SYSTEM
from policy.errors import InvalidSetting
from policy.models import Tenant
from policy.operations.set_tenant import Shares, set_shares
from runs.admission import KNOWN_SECONDS, _admit_here, admit_after_commit
from runs.errors import QueueFull
from runs.models import Run
from runs.queries.lines import line
from tests.conftest import make_room
from tests.contract.conftest import engine_pool, system_pool  # noqa: F401 - fixtures
from tests.http import Api

if TYPE_CHECKING:
    from tests.contract.halls import PostgresHall

ALONE = 12


@pytest.fixture
def hall(
    engine_pool: Any,  # noqa: F811
    system_pool: Any,  # noqa: F811
    tenant: UUID,
    other_tenant: UUID,
) -> Iterator[PostgresHall]:
    """Sixteen seats, of which one tenant may fill twelve."""
    from tests.contract.halls import PostgresHall
    from tests.contract.postgres_ground import PostgresGround

    ground = PostgresGround(
        tenant=str(tenant), pool=engine_pool, system=system_pool, strange=lambda: other_tenant
    )
    try:
        yield PostgresHall(ground)
    finally:
        make_room()


def bound(hall: PostgresHall, most: int) -> None:
    with tenancy.scope(UUID(hall.here)):
        set_shares(Shares(max_queued=most), by=SYSTEM)


def start(api: Api, **more: Any) -> Any:
    return api.post("/api/v1/runs", {"agent": "contract-a", "input": None, **more})


def test_one_run_too_many_is_refused_and_told_when_to_come_back(
    hall: PostgresHall, tenant: UUID
) -> None:
    bound(hall, 2)
    api = Api(tenant, "operator")
    for _ in range(ALONE):
        hall.start()

    waiting = [start(api) for _ in range(2)]
    refused = start(api, metadata={"mine": "yes"})

    assert [answer.status_code for answer in waiting] == [202, 202]
    assert (refused.status_code, refused.json()["code"]) == (429, "queue_full")
    assert refused.json()["retryable"] is True
    assert int(refused["Retry-After"]) >= 1
    with tenancy.scope(tenant):
        assert Run.objects.count() == ALONE + 2


def start_many(hall: PostgresHall, runs: int) -> list[str]:
    return [hall.start() for _ in range(runs)]


def let_in(hall: PostgresHall, runs: list[str]) -> list[str]:
    """End those runs, so that as many of the line are let in."""
    for run in runs:
        hall.cancel(run)
    return hall.admit()


def send_workers_home(hall: PostgresHall) -> None:
    with hall.ground.system.connection() as connection:
        connection.execute("DELETE FROM runs_workerslots")


def passes(hall: PostgresHall, seconds: int) -> None:
    """So much time passes for the lines."""
    with hall.ground.system.connection() as connection:
        connection.execute(
            "UPDATE runs_line SET let_in_at = let_in_at - %(s)s, since = since - %(s)s",
            {"s": timedelta(seconds=seconds)},
        )


def per_second(hall: PostgresHall) -> float:
    with tenancy.scope(UUID(hall.here)):
        return line().per_second


def back_in(hall: PostgresHall) -> float:
    """Ask for a run that is refused; give the seconds to come back after."""
    time.sleep(KNOWN_SECONDS)
    with pytest.raises(QueueFull) as refused:
        start_many(hall, 50)
    return refused.value.retry_after


def test_where_the_line_moved_the_time_to_come_back_is_from_its_rate(hall: PostgresHall) -> None:
    bound(hall, 60)
    runs = start_many(hall, ALONE + 60)
    first = let_in(hall, runs[:ALONE])
    passes(hall, 4)
    few = let_in(hall, first[:4])  # and four lines of three seats each: 1 a second

    slow = back_in(hall)
    let_in(hall, [*first[4:], *few])
    fast = back_in(hall)

    assert 3.2 <= slow <= 4 * 1.5
    assert 1 <= fast < slow / 2


def test_a_line_that_stood_still_is_measured_since_it_moves_again(hall: PostgresHall) -> None:
    runs = start_many(hall, 5 * ALONE)
    before = let_in(hall, runs[:ALONE])
    passes(hall, 5)
    before = let_in(hall, before)
    assert per_second(hall) > 1
    passes(hall, 11)
    assert per_second(hall) == 0

    first = let_in(hall, before)
    assert per_second(hall) == 0, "these filled seats that were free"
    passes(hall, 4)
    let_in(hall, first[:8])

    assert 2 <= per_second(hall) <= 2.6


def test_what_is_let_in_before_a_worker_is_there_says_nothing(hall: PostgresHall) -> None:
    send_workers_home(hall)
    runs = start_many(hall, 4 * ALONE + 20)
    let_in(hall, runs[:1])
    passes(hall, 6)
    assert per_second(hall) == 0

    make_room(32)
    first = let_in(hall, runs[1:5])
    passes(hall, 4)
    let_in(hall, first)

    assert 1 <= per_second(hall) <= 1.3


def test_a_clock_that_is_set_back_by_hours_holds_up_no_admission(hall: PostgresHall) -> None:
    runs = start_many(hall, 3 * ALONE)
    first = let_in(hall, runs[:4])
    assert let_in(hall, first[:1])
    passes(hall, -3 * 3600)

    assert let_in(hall, first[1:2])
    assert per_second(hall) == 0


def test_while_no_worker_is_there_nobody_is_sent_far_away(hall: PostgresHall) -> None:
    runs = start_many(hall, ALONE + 50)
    first = let_in(hall, runs[:ALONE])
    passes(hall, 9)
    let_in(hall, first[:1])
    bound(hall, 20)
    assert 0 < per_second(hall) < 0.2
    assert back_in(hall) >= 60
    send_workers_home(hall)

    assert 5 <= back_in(hall) <= 15


def test_too_many_in_all_are_no_fault_of_the_tenant(hall: PostgresHall, tenant: UUID) -> None:
    api = Api(tenant, "operator")
    for _ in range(ALONE + 2):
        hall.start()
    time.sleep(KNOWN_SECONDS)

    with override_settings(MAX_QUEUED=2):
        refused = start(api)
        time.sleep(KNOWN_SECONDS)

    assert (refused.status_code, refused.json()["code"]) == (503, "system_full")
    assert int(refused["Retry-After"]) >= 1


def test_who_waits_sees_how_many_are_before_it(hall: PostgresHall, tenant: UUID) -> None:
    api = Api(tenant, "operator")
    for _ in range(ALONE + 3):
        hall.start()

    last = start(api).json()
    line = api.get("/api/v1/queue").json()

    (turn,) = last["waiting_on"]
    assert (turn["kind"], turn["text"]) == ("turn", "its turn: queued, 3 before it")
    assert (line["active"], line["waiting"], line["weight"]) == (ALONE, 4, 1)
    assert (line["seats"], line["free_seats"]) == (16, 4)
    assert line["oldest"] <= last["created_at"]


def test_only_an_admin_may_ask_for_a_high_priority(hall: PostgresHall, tenant: UUID) -> None:
    hall.start()  # so that there is such an agent

    assert start(Api(tenant, "operator"), priority="high").status_code == 403
    assert start(Api(tenant, "operator"), priority="low").status_code == 202
    assert start(Api(tenant, "admin"), priority="high").status_code == 202
    assert start(Api(tenant, "admin"), priority="soon").status_code == 422


def test_the_operator_sets_weight_and_bounds_of_a_tenant(tenant: UUID) -> None:
    slug = _slug(tenant)
    out = StringIO()

    asked = ["--weight", "3", "--max-active", "5", "--max-queued", "70"]
    call_command("tenant", "set", slug, *asked, stdout=out)

    assert "0 of 5 active" in out.getvalue()
    assert "0 of 70 queued" in out.getvalue()
    call_command("tenant", "set", slug, "--max-active", "none", stdout=out)
    with tenancy.scope(tenant):
        row = Tenant.objects.get(pk=tenant)
        assert (row.weight, row.max_active, row.max_queued) == (3, None, 70)
        with pytest.raises(InvalidSetting):
            set_shares(Shares(weight=10_000), by=SYSTEM)
    with pytest.raises(CommandError):
        call_command("tenant", "set", slug, stdout=out)


def _slug(tenant: UUID) -> str:
    with tenancy.scope(tenant):
        return Tenant.objects.get(pk=tenant).slug


def test_a_run_in_line_may_run_out_of_time_there(hall: PostgresHall) -> None:
    for _ in range(ALONE):
        hall.start()
    late = hall.start()
    with hall.ground.system.connection() as connection:
        moment = datetime(2020, 1, 1, tzinfo=UTC)
        connection.execute("UPDATE runs_run SET deadline_at = %s WHERE id = %s", [moment, late])

    hall.ground.sweep(late)

    assert (hall.state(late), hall.in_line(late)) == ("expired", False)


def test_a_run_whose_admitter_died_before_sending_is_sent_by_the_relay(hall: PostgresHall) -> None:
    runs = start_many(hall, ALONE + 1)
    hall.cancel(runs[0])

    admitted = hall.admit()  # and whoever did it dies here: nothing is sent

    assert admitted == [runs[-1]]
    assert (None, "") in hall.ground.sweep(runs[-1])
    assert hall.store.claim(hall.here, runs[-1], worker="w", ttl=60) is not None


def _rounds() -> int:
    """Count the rounds of admission that this transaction's commit will ask for."""
    return sum(hook[1] is _admit_here for hook in connection.run_on_commit)


def test_however_many_a_transaction_lines_up_it_asks_for_one_round_of_admission(
    hall: PostgresHall,  # noqa: ARG001
) -> None:
    with transaction.atomic():
        for _ in range(3):
            admit_after_commit()
        with transaction.atomic():
            admit_after_commit()
        assert _rounds() == 1


def test_a_savepoint_that_is_rolled_back_takes_no_others_round_with_it(
    hall: PostgresHall,  # noqa: ARG001
) -> None:
    with transaction.atomic():
        with contextlib.suppress(LookupError), transaction.atomic():
            admit_after_commit()
            raise LookupError
        admit_after_commit()
        assert _rounds() == 1
