"""Too many runs are refused, and told when to come back; who waits sees where it stands."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from io import StringIO
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import override_settings

from policy import tenancy
from policy.core.actor import SYSTEM
from policy.errors import InvalidSetting
from policy.models import Tenant
from policy.operations.set_tenant import Shares, set_shares
from runs.admission import KNOWN_SECONDS
from runs.models import Run
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


def test_where_the_line_moved_the_time_to_come_back_is_from_its_rate(hall: PostgresHall) -> None:
    from runs.errors import QueueFull

    bound(hall, 40)
    runs = [hall.start() for _ in range(ALONE + 30)]
    for run in runs[:ALONE]:
        hall.cancel(run)
    hall.admit()
    for _ in range(22):
        hall.start()
    time.sleep(KNOWN_SECONDS)

    with pytest.raises(QueueFull) as slow:
        hall.start()
    for run in runs[ALONE : 2 * ALONE]:
        hall.cancel(run)
    hall.admit()
    time.sleep(KNOWN_SECONDS)
    for _ in range(ALONE):
        hall.start()
    time.sleep(KNOWN_SECONDS)
    with pytest.raises(QueueFull) as fast:
        hall.start()

    assert 1 <= fast.value.retry_after <= slow.value.retry_after < 30


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
    assert hall.here == str(tenant)

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
    runs = [hall.start() for _ in range(ALONE + 1)]
    hall.cancel(runs[0])

    admitted = hall.admit()  # and whoever did it dies here: nothing is sent

    assert admitted == [runs[-1]]
    assert (None, "") in hall.ground.sweep(runs[-1])
    assert hall.store.claim(hall.here, runs[-1], worker="w", ttl=60) is not None
