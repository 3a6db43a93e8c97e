"""Budgets of every scope, on the real store: who counts for what, races, drift."""

from __future__ import annotations

import contextlib
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any
from uuid import UUID

import pytest
from django.core.management import call_command
from django.db import connection
from uuid_utils.compat import uuid7

from policy.core.actor import SYSTEM, Actor
from policy.core.money import Amounts, Limits, Period
from policy.core.outcomes import Usage
from policy.models import AuditEvent, Budget, BudgetPeriod, BudgetScope, Principal, Tenant
from policy.operations.create_principal import create_principal
from policy.operations.teams import create_team, join_team
from runs.core.effects import EffectState, Place
from runs.models import Agent, Run
from runs.operations.reconcile_budgets import compare, mend
from runs.operations.set_budget import SetBudget, make_budget
from runs.operations.start import StartRun, start_run
from runs.ports import Put, Settled
from runs.queries.attribution import Attribute, attribution
from tests.contract.builds import a_model, a_save, a_tool, done, put
from tests.contract.grounds import LEASE, agent_of, claim
from tests.integration.engine_room import Room
from tests.integration.test_engine_children import NOTING, PARENT
from tests.integration.test_engine_crowd import all_at_work
from tests.unit.runs import desk

WORST = Amounts(cost=Decimal("1.5"), tokens=1, model_calls=1)
NOW = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _new_world() -> None:
    desk.world.forget()


def somebody(room: Room, name: str, team: str | None = None) -> Actor:
    with room.scope():
        principal = create_principal(name, ["operator"])
        if team is not None:
            join_team(name, team, by=SYSTEM)
    return Actor(principal_id=str(principal), name=name, kind="service")


def budget(room: Room, scope: BudgetScope, scope_id: Any, **limits: Any) -> UUID:
    wanted = SetBudget(limits=Limits(**limits))
    with room.scope():
        return make_budget(scope, UUID(str(scope_id)), wanted, by=SYSTEM, now=NOW)


def start(room: Room, by: Actor, thread: UUID | None = None) -> str:
    program = agent_of("a")
    with room.scope():
        command = StartRun(agent=program.name, input={}, by=by, thread=thread)
        return str(start_run(command, now=datetime.now(UTC)))


def spent(room: Room, budget_id: UUID) -> int:
    with room.scope():
        row = Budget.objects.get(pk=budget_id)
    assert row.tool_calls_reserved == 0
    return row.tool_calls_spent


def call(room: Room, run_id: str) -> None:
    claimed = claim(room.ground, run_id)
    assert put(room.ground, claimed, a_tool()) is Put.OK
    room.ground.store.save(claimed.lease, a_save(claimed, effects=[done()]), ttl=LEASE)


def test_a_run_counts_for_everything_that_it_belongs_to_and_for_nothing_else(room: Room) -> None:
    with room.scope():
        teams = {name: create_team(name, by=SYSTEM) for name in ("red", "blue")}
    ann, bob = somebody(room, "ann", "red"), somebody(room, "bob", "blue")
    thread = uuid7()
    start(room, ann)
    with room.scope():
        agent = Agent.objects.get(name=agent_of("a").name).id
    made = {
        "tenant": budget(room, BudgetScope.TENANT, room.ground.tenant),
        "red": budget(room, BudgetScope.TEAM, teams["red"]),
        "blue": budget(room, BudgetScope.TEAM, teams["blue"]),
        "ann": budget(room, BudgetScope.USER, ann.principal_id),
        "bob": budget(room, BudgetScope.USER, bob.principal_id),
        "agent": budget(room, BudgetScope.AGENT, agent),
        "thread": budget(room, BudgetScope.THREAD, thread),
    }

    call(room, start(room, ann, thread))
    call(room, start(room, bob))

    counts = {name: spent(room, budget_id) for name, budget_id in made.items()}
    assert counts == {
        "tenant": 2,
        "red": 1,
        "blue": 1,
        "ann": 1,
        "bob": 1,
        "agent": 2,
        "thread": 1,
    }


def test_a_child_spends_what_its_parent_and_its_own_agent_may(room: Room) -> None:
    room.allow_everything()
    room.start(NOTING, 0)
    all_at_work(room)
    with room.scope():
        own = Agent.objects.get(name="noting").id
    of_agent = budget(room, BudgetScope.AGENT, own, tool_calls=2)
    whole = budget(room, BudgetScope.TENANT, room.ground.tenant)

    run_id = room.start(PARENT, 3)
    all_at_work(room)

    with room.scope():
        states = sorted(Run.objects.filter(parent_id=run_id).values_list("state", flat=True))
        scopes = set(
            Budget.objects.filter(scope="child").values_list("tool_calls_spent", flat=True)
        )
    assert states == ["paused", "succeeded", "succeeded"]
    assert (spent(room, of_agent), spent(room, whole)) == (2, 2)
    assert scopes == {0, 1}


def test_parallel_calls_over_shared_budgets_of_several_scopes_overshoot_none(room: Room) -> None:
    with room.scope():
        team = create_team("red", by=SYSTEM)
    people = [somebody(room, f"person {n}", "red") for n in range(3)]
    threads = [uuid7() for _ in range(2)]
    shared = {
        budget(room, BudgetScope.TENANT, room.ground.tenant, cost=Decimal(14)): Decimal(14),
        budget(room, BudgetScope.TEAM, team, cost=Decimal(13)): Decimal(13),
        **{
            budget(room, BudgetScope.USER, p.principal_id, cost=Decimal(5)): Decimal(5)
            for p in people
        },
        **{budget(room, BudgetScope.THREAD, t, cost=Decimal(7)): Decimal(7) for t in threads},
    }
    runs = [start(room, people[n % 3], threads[n % 2]) for n in range(12)]

    def work(run_id: str) -> int:
        """Ask for a dollar and a half ten times over; what is granted costs less."""
        claimed, granted = claim(room.ground, run_id), 0
        for n in range(10):
            asked = put(room.ground, claimed, a_model(Place(0, "a", n), reserve=WORST))
            if asked is not Put.OK:
                continue
            usage = Usage(cost=Decimal("0.75"), input_tokens=1)
            settled = Settled(
                place=Place(0, "a", n), state=EffectState.DONE, outcome={}, usage=usage
            )
            put(room.ground, claimed, a_tool(Place(0, "a", 100 + n)), settled)
            granted += 1
        connection.close()
        return granted

    with ThreadPoolExecutor(6) as pool:
        granted = sum(pool.map(work, runs))

    with room.scope():
        rows = {row.pk: row for row in Budget.objects.filter(pk__in=shared)}
        drift = [found for found in compare(UUID(room.ground.tenant)) if found.drifted]
    assert granted > 0
    assert all(rows[pk].cost_spent <= limit for pk, limit in shared.items())
    assert all(row.cost_reserved == row.cost_overdraft == 0 for row in rows.values())
    [whole] = [row for row in rows.values() if row.scope == "tenant"]
    assert whole.cost_spent == granted * Decimal("0.75")
    assert drift == []


def test_drift_that_was_put_in_by_hand_is_found_and_mended(room: Room) -> None:
    whole = budget(room, BudgetScope.TENANT, room.ground.tenant, tool_calls=9, cost=Decimal(9))
    call(room, start(room, SYSTEM))
    with room.scope():
        slug = Tenant.objects.get(pk=room.ground.tenant).slug
    clean = report(slug)
    with room.scope():
        Budget.objects.filter(pk=whole).update(tool_calls_spent=3, cost_reserved=Decimal("0.5"))

    found = report(slug)
    mended = report(slug, "--mend")
    after = report(slug)

    assert (clean, after) == ([{"budgets": 2, "drifted": 0, "mended": 0}],) * 2
    assert found[-1] == {"budgets": 2, "drifted": 1, "mended": 0}
    assert found[0]["spent"] == {"tool_calls": "-2"}
    assert found[0]["reserved"] == {"cost": "-0.500000000"}
    assert mended[-1] == {"budgets": 2, "drifted": 1, "mended": 1}
    assert spent(room, whole) == 1
    with room.scope():
        assert AuditEvent.objects.filter(action="budget.mended").count() == 1


def report(slug: str, *options: str) -> list[Any]:
    out = StringIO()
    with contextlib.suppress(SystemExit):
        call_command("reconcilebudgets", "--tenant", slug, *options, stdout=out)
    return [json.loads(line[line.index("{") :]) for line in out.getvalue().splitlines()]


def test_calls_under_way_and_closed_periods_are_no_drift(room: Room) -> None:
    wanted = SetBudget(period=Period.DAY, anchor=datetime.now(UTC))
    with room.scope():
        tenant = UUID(room.ground.tenant)
        make_budget(BudgetScope.TENANT, tenant, wanted, by=SYSTEM, now=datetime.now(UTC))
    slow, quick = start(room, SYSTEM), start(room, SYSTEM)
    claimed = claim(room.ground, slow)
    put(room.ground, claimed, a_model())
    room.ground.pass_time(slow, timedelta(days=1).total_seconds())
    other = claim(room.ground, quick)
    put(room.ground, other, a_model())

    with room.scope():
        drift = [found for found in compare(tenant) if found.drifted]
        nothing = mend(tenant, Budget.objects.get(scope="tenant").pk, by=SYSTEM)
        row = Budget.objects.get(scope="tenant")
        old = BudgetPeriod.objects.get(budget=row)

    assert drift == []
    assert nothing is None
    assert (row.model_calls_reserved, old.model_calls_reserved) == (1, 1)


def test_what_was_spent_is_told_apart_by_whatever_is_asked(room: Room) -> None:
    with room.scope():
        create_team("red", by=SYSTEM)
    ann = somebody(room, "ann", "red")
    for by in (ann, ann, SYSTEM):
        run_id = start(room, by)
        claimed = claim(room.ground, run_id)
        put(room.ground, claimed, a_model())
        put(room.ground, claimed, a_tool(Place(0, "a", 1)), done(cost=Decimal("0.125")))
        settled = [done(Place(0, "a", 1))]
        room.ground.store.save(claimed.lease, a_save(claimed, effects=settled), ttl=LEASE)
    now = datetime.now(UTC)
    hour = {"since": now - timedelta(hours=1), "until": now + timedelta(hours=1)}

    with room.scope():
        told = {by: attribution(by, **hour) for by in Attribute}
        nothing = attribution(Attribute.TENANT, since=now - timedelta(2), until=now - timedelta(1))
        name = Principal.objects.get(pk=ann.principal_id).name

    quarter, eighth = Decimal("0.25"), Decimal("0.125")
    assert [(row.name, row.cost) for row in told[Attribute.USER]] == [
        (name, quarter),
        ("no user", eighth),
    ]
    assert [row.name for row in told[Attribute.TEAM]] == ["red", "no team"]
    assert [(row.name, row.cost) for row in told[Attribute.MODEL]] == [("fast", quarter + eighth)]
    assert [(row.name, row.tool_calls) for row in told[Attribute.TOOL]] == [("payments.refund", 3)]
    assert [row.cost for row in told[Attribute.TENANT]] == [quarter + eighth]
    assert len(told[Attribute.RUN]) == 3
    assert nothing == []
