"""The demo's runs, through the real engine: what `make demo` counts."""

from __future__ import annotations

from collections import Counter
from uuid import UUID

from agentops.demo import RUNS, play_demo
from policy.queries import TenantName
from runs.models import Run
from runs.ports import Nudge
from tests.integration.engine_room import Room


def played(room: Room) -> int:
    with room.scope():
        tenant = TenantName(UUID(room.ground.tenant), "demo", "Demo")
        started = play_demo(tenant)
        ids = [str(pk) for pk in Run.objects.values_list("id", flat=True)]
    room.nudges.extend(Nudge(tenant_id=room.ground.tenant, run_id=pk) for pk in ids)
    room.drive()
    return started


def states(room: Room) -> Counter[tuple[str, str]]:
    with room.scope():
        return Counter(Run.objects.values_list("state", "reason"))


def test_the_demos_runs_are_really_executed_and_end_as_they_should(room: Room) -> None:
    started = played(room)

    assert started == len(RUNS)
    assert states(room) == {
        ("succeeded", ""): 4,
        ("failed", ""): 1,
        ("interrupted", "approval"): 3,
        ("paused", "budget"): 1,
    }


def test_seeding_again_starts_nothing(room: Room) -> None:
    played(room)

    assert played(room) == 0
    assert sum(states(room).values()) == len(RUNS)


def test_what_the_demo_spends_is_under_the_tenants_budget(room: Room) -> None:
    played(room)

    with room.scope():
        from policy.models import Budget

        budget = Budget.objects.get(scope="tenant")
    assert budget.cost_limit is not None
    assert 0 < budget.cost_spent < budget.cost_limit
    assert budget.cost_reserved == 0
