"""Budgets over HTTP: made, changed, forecast, attributed."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone
from uuid_utils.compat import uuid7

from policy import tenancy
from policy.core.actor import SYSTEM
from policy.models import Budget
from policy.operations.teams import create_team
from tests.http import Api, a_budget
from tests.integration.budget_desk import BUDGETS, make


@pytest.fixture
def finance(tenant: UUID) -> Api:
    return Api(tenant, "finance")


def test_a_budget_is_made_for_a_scope_and_read_back(finance: Api) -> None:
    made = make(finance)

    read = finance.get(made["Location"])
    found = finance.get(f"{BUDGETS}?scope=tenant&scope_id={finance.tenant}")

    assert made.status_code == 201, made.content
    body = read.json()
    assert (body["cost"]["limit"], body["cost"]["soft"]) == ("100.00", "80.00")
    assert (body["tool_calls"]["limit"], body["tool_calls"]["soft"]) == (None, 5)
    assert body["period"] == "month"
    assert body["period_starts_at"].endswith("01T00:00:00Z")
    assert (body["alerts"], body["periods"], body["proposals"]) == ([], [], [])
    assert [one["id"] for one in found.json()["results"]] == [body["id"]]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"scope": "run"}, "invalid_request"),
        ({"scope_id": str(uuid7())}, "invalid_budget"),
        ({"scope": "team"}, "invalid_budget"),
        ({"scope": "agent"}, "invalid_budget"),
        ({"scope": "user"}, "invalid_budget"),
        ({"soft": {"cost": "101"}}, "invalid_budget"),
        ({"limits": {"cost": "10000000001"}}, "invalid_budget"),
        ({"limits": {"cost": "-1"}}, "invalid_request"),
        ({"period": "year"}, "invalid_request"),
    ],
)
def test_a_budget_that_makes_no_sense_is_not_made(
    finance: Api, change: dict[str, Any], code: str
) -> None:
    answer = make(finance, **change)

    assert (answer.status_code, answer.json()["code"]) == (422, code), answer.content
    with tenancy.scope(finance.tenant):
        assert not Budget.objects.exists()


def test_a_scope_has_one_budget(finance: Api) -> None:
    make(finance)

    assert make(finance).json()["code"] == "invalid_budget"


def test_the_budget_of_a_team_is_made_by_its_id(finance: Api) -> None:
    with tenancy.scope(finance.tenant):
        team = create_team("sales", by=SYSTEM)

    assert make(finance, scope="team", scope_id=str(team)).status_code == 201


def test_a_budget_is_changed_by_who_read_it(finance: Api) -> None:
    made = make(finance)
    where, body = made["Location"], {"limits": {"cost": "50", "tokens": 9}, "period": "month"}

    changed = finance.put(where, body, If_Match=made["ETag"])
    stale = finance.put(where, body, If_Match=made["ETag"])
    blind = finance.put(where, body)

    assert changed.status_code == 200, changed.content
    assert (changed.json()["cost"]["limit"], changed.json()["tokens"]["limit"]) == ("50.00", 9)
    assert changed.json()["cost"]["soft"] is None
    assert (stale.status_code, blind.status_code) == (412, 428)


@pytest.mark.parametrize(
    "body",
    [
        {"limits": {"cost": "101"}, "period": "month"},
        {"limits": {}, "period": "month"},
        {"limits": {"cost": "100"}, "period": "none"},
        {"limits": {"cost": "4"}, "period": "month"},
    ],
)
def test_a_change_is_no_way_around_a_raise_and_takes_nothing_back(
    finance: Api, body: dict[str, Any]
) -> None:
    made = make(finance)
    with tenancy.scope(finance.tenant):
        Budget.objects.update(cost_spent=5)

    answer = finance.put(made["Location"], body, If_Match=made["ETag"])

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_budget"), answer.content
    assert finance.get(made["Location"]).json()["cost"]["limit"] == "100.00"


def test_a_budget_that_gets_a_period_closes_its_life_so_far(finance: Api) -> None:
    made = make(finance, period="none")
    with tenancy.scope(finance.tenant):
        Budget.objects.update(cost_spent=5)

    body = {"limits": {"cost": "100"}, "period": "day"}
    changed = finance.put(made["Location"], body, If_Match=made["ETag"]).json()

    assert changed["cost"]["spent"] == "0.00"
    assert [past["cost"]["spent"] for past in changed["periods"]] == ["5.00"]
    assert changed["period_starts_at"] == changed["periods"][0]["ends_at"]


def test_a_period_that_is_over_changes_nothing_for_who_read_the_budget(finance: Api) -> None:
    made = make(finance, period="day")
    with tenancy.scope(finance.tenant):
        Budget.objects.update(
            period_starts_at=timezone.now() - timedelta(days=2),
            period_ends_at=timezone.now() - timedelta(days=1),
            turns_at=timezone.now() - timedelta(days=1),
        )

    body = {"limits": {"cost": "50"}, "period": "day"}
    answer = finance.put(made["Location"], body, If_Match=made["ETag"])

    assert answer.status_code == 200, answer.content


def test_a_forecast_draws_a_line_through_the_period(finance: Api) -> None:
    made = make(finance)
    with tenancy.scope(finance.tenant):
        Budget.objects.update(cost_spent=Decimal(50))

    told = finance.get(f"{made['Location']}/forecast").json()

    assert Decimal(told["cost"]["rate_per_hour"]) > 0
    assert Decimal(told["cost"]["at_period_end"]) >= 50
    assert told["tokens"] == {
        "rate_per_hour": "0.00",
        "exhausted_at": None,
        "at_period_end": "0.00",
    }


@pytest.mark.parametrize("by", ["tenant", "team", "agent", "run", "tool", "model", "user"])
def test_spending_is_told_apart_over_http(finance: Api, by: str) -> None:
    answer = finance.get(f"{BUDGETS}/attribution?by={by}")

    assert (answer.status_code, answer.json()["results"]) == (200, []), answer.content


@pytest.mark.parametrize(
    "query", ["", "by=hope", "by=run&since=2030-01-02T00:00:00Z&until=2030-01-01T00:00:00Z"]
)
def test_a_question_about_spending_that_makes_no_sense_is_refused(finance: Api, query: str) -> None:
    assert finance.get(f"{BUDGETS}/attribution?{query}").status_code == 422


@pytest.mark.parametrize("role", ["viewer", "operator", "reviewer"])
def test_only_finance_makes_changes_and_decides(tenant: UUID, role: str) -> None:
    caller, budget, some = Api(tenant, role), a_budget(tenant), uuid7()
    path = f"{BUDGETS}/{budget.id}"

    answers = [
        make(caller),
        caller.put(path, {}, If_Match='"1"'),
        caller.post(f"{path}/raises/{some}/confirm"),
        caller.post(f"{path}/raises/{some}/decline"),
    ]

    assert [answer.status_code for answer in answers] == [403] * 4
    assert caller.get(f"{path}/forecast").status_code == 200
