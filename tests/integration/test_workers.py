"""The nursery brings workers back at once, and what a dead one held is free at once."""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentops.processes import Processes
from agentops.supervisor import Supervisor
from agentops.workers import ready_workers
from tests.integration.engine_room import Room
from tests.processes import eventually, is_alive

pytestmark = pytest.mark.timeout(120)
TTL = 30.0


@pytest.fixture
def host() -> str:
    """A host of this test's own: leases of other tests lie in the same database."""
    return f"host-{secrets.token_hex(4)}"


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    with Supervisor(tmp_path / "run", tmp_path / "logs") as started:
        process = Processes(dict(os.environ), tmp_path / "run").workers(2, concurrency=2)
        started.start(process)
        started.wait_ready("workers", timeout=60)
        yield started


def test_a_killed_worker_is_replaced_and_the_other_is_left_alone(supervisor: Supervisor) -> None:
    before = ready_workers(supervisor.run)

    os.kill(before["worker-1"], signal.SIGKILL)

    def is_back() -> bool:
        return (
            ready_workers(supervisor.run).get("worker-1", before["worker-1"])
            != (before["worker-1"])
        )

    assert eventually(is_back, within=30)
    assert ready_workers(supervisor.run)["worker-2"] == before["worker-2"]


def test_workers_end_with_their_nursery_however_it_ends(supervisor: Supervisor) -> None:
    workers = ready_workers(supervisor.run)
    nursery = next(s.pid for s in supervisor.status() if s.name == "workers")

    os.kill(nursery, signal.SIGKILL)

    assert eventually(lambda: not any(is_alive(pid) for pid in workers.values()), within=20)


def test_what_a_dead_worker_held_is_free_at_once(room: Room, host: str) -> None:
    from runs.process import bury

    ground = room.ground
    run = ground.start("a")
    held = ground.store.claim(ground.tenant, run, worker=f"{host}:1", ttl=TTL)
    assert held is not None
    assert ground.store.claim(ground.tenant, run, worker=f"{host}:2", ttl=TTL) is None

    assert bury(f"{host}:1") == 1

    again = ground.store.claim(ground.tenant, run, worker=f"{host}:2", ttl=TTL)
    assert again is not None
    assert again.lease.token > held.lease.token


def test_a_run_that_cost_a_worker_before_waits_a_little_longer(room: Room, host: str) -> None:
    from runs.process import bury

    ground = room.ground
    run = ground.start("a")
    ground.store.claim(ground.tenant, run, worker=f"{host}:1", ttl=TTL)
    bury(f"{host}:1")
    assert ground.store.claim(ground.tenant, run, worker=f"{host}:2", ttl=TTL) is not None

    bury(f"{host}:2")

    assert ground.store.claim(ground.tenant, run, worker=f"{host}:3", ttl=TTL) is None


def test_a_living_workers_leases_are_not_touched(room: Room, host: str) -> None:
    from runs.process import bury

    ground = room.ground
    run = ground.start("a")
    ground.store.claim(ground.tenant, run, worker=f"{host}:1", ttl=TTL)

    assert bury(f"{host}:11") == 0
    assert ground.store.claim(ground.tenant, run, worker=f"{host}:2", ttl=TTL) is None
