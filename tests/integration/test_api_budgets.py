"""Budgets over HTTP: made, changed, raised by one or by two, forecast, attributed."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.utils import timezone
from uuid_utils.compat import uuid7

from policy import tenancy
from policy.core.actor import SYSTEM
from policy.models import AuditEvent, Budget, Tenant
from policy.operations.teams import create_team
from tests.contract.builds import at_once
from tests.http import Api, a_budget, a_run, an_agent

BUDGETS = "/api/v1/budgets"


@pytest.fixture
def finance(tenant: UUID) -> Api:
    return Api(tenant, "finance")


def make(api: Api, **change: Any) -> Any:
    body = {
        "scope": "tenant",
        "scope_id": str(api.tenant),
        "period": "month",
        "limits": {"cost": "100"},
        "soft": {"cost": "80", "tool_calls": 5},
        **change,
    }
    return api.post(BUDGETS, body)


def of_a_thread(api: Api) -> Budget:
    made = make(api, scope="thread", scope_id=str(uuid7()))
    with tenancy.scope(api.tenant):
        return Budget.objects.get(pk=made.json()["id"])


def needs_two(tenant: UUID, alone: int = 5) -> None:
    with tenancy.scope(tenant):
        Tenant.objects.filter(pk=tenant).update(raise_alone_up_to=alone)


def propose(api: Api, budget: Any, **change: Any) -> Any:
    body = {"unit": "cost", "amount": "6", "reason": "a busy week", **change}
    return api.post(f"{BUDGETS}/{budget.id}/raise", body)


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


def test_a_raise_for_a_time_is_named_with_its_end(finance: Api, tenant: UUID) -> None:
    budget = a_budget(tenant)
    until = (timezone.now() + timedelta(days=1)).isoformat()

    answer = propose(finance, budget, kind="until", until=until)
    late = propose(finance, budget, kind="until", until="2020-01-01T00:00:00Z")
    none = propose(finance, budget, kind="until")

    [raised] = answer.json()["raises"]
    assert answer.json()["cost"]["limit"] == "16.00"
    assert (raised["kind"], raised["until"] is not None) == ("until", True)
    assert [late.json()["code"], none.json()["code"]] == ["invalid_raise"] * 2


def test_a_large_raise_is_made_when_somebody_else_confirms_it(finance: Api, tenant: UUID) -> None:
    needs_two(tenant)
    budget, other = a_budget(tenant), Api(tenant, "finance")

    asked = propose(finance, budget)
    [proposal] = asked.json()["proposals"]
    path = f"{BUDGETS}/{budget.id}/raises/{proposal['id']}/confirm"
    own, another, again = finance.post(path), other.post(path), other.post(path)

    assert (asked.status_code, asked.json()["cost"]["limit"]) == (202, "10.00")
    assert (own.status_code, own.json()["code"]) == (403, "not_allowed")
    assert (another.status_code, another.json()["cost"]["limit"]) == (200, "16.00")
    assert another.json()["raises"][0]["confirmed_by"] == "a caller"
    assert (again.status_code, again.json()["code"]) == (422, "invalid_raise")
    with tenancy.scope(tenant):
        told = AuditEvent.objects.filter(subject=f"budget/{budget.id}").order_by("id")
        actions = list(told.values_list("action", "actor"))
    assert actions == [
        ("budget.raise_proposed", "service:a caller"),
        ("budget.raised", "service:a caller"),
        ("budget.raise_confirmed", "service:a caller"),
    ]


def test_a_small_raise_needs_nobody_else(finance: Api, tenant: UUID) -> None:
    needs_two(tenant)

    answer = propose(finance, a_budget(tenant), amount="5")

    assert (answer.status_code, answer.json()["proposals"]) == (200, [])


def test_small_raises_of_one_person_add_up_over_all_budgets(finance: Api, tenant: UUID) -> None:
    needs_two(tenant)
    one, two, other = a_budget(tenant), of_a_thread(finance), Api(tenant, "finance")

    within = [propose(finance, one, amount="3"), propose(finance, two, amount="2")]
    beyond = propose(finance, one, amount="0.01")
    by_another = propose(other, one, amount="5")

    assert [answer.status_code for answer in within] == [200, 200]
    assert (beyond.status_code, beyond.json()["cost"]["limit"]) == (202, "13.00")
    assert (by_another.status_code, by_another.json()["cost"]["limit"]) == (200, "18.00")


def test_what_two_granted_and_what_is_long_ago_counts_for_nobody_alone(
    finance: Api, tenant: UUID
) -> None:
    needs_two(tenant)
    budget, other = a_budget(tenant), Api(tenant, "finance")
    [proposal] = propose(finance, budget, amount="50").json()["proposals"]
    other.post(f"{BUDGETS}/{budget.id}/raises/{proposal['id']}/confirm")

    with tenancy.scope(tenant), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO policy_budgetraise (tenant_id, id, budget_id, unit, amount, raised_by,"
            " raised_by_id, reason, created_at) VALUES (%s, %s, %s, 'cost', 5, 'ann', %s, 'old',"
            " now() - interval '25 hours')",
            [tenant, uuid7(), budget.id, str(finance.principal)],
        )

    today = propose(finance, budget, amount="1")
    with tenancy.scope(tenant):
        Tenant.objects.filter(pk=tenant).update(raise_alone_hours=48)
    in_two_days = propose(finance, budget, amount="1")

    assert [today.status_code, in_two_days.status_code] == [200, 202]


def test_of_raises_of_one_person_at_once_no_more_are_made_than_one_may_alone(
    finance: Api, tenant: UUID
) -> None:
    needs_two(tenant)
    budgets = [of_a_thread(finance) for _ in range(6)]

    def ask(budget: Any) -> int:
        status: int = propose(finance, budget, amount="2").status_code
        connection.close()
        return status

    statuses = at_once([lambda one=one: ask(one) for one in budgets])  # type: ignore[misc]

    assert sorted(statuses) == [200, 200, 202, 202, 202, 202]


def test_setting_limits_makes_no_raise_for_a_time_permanent(finance: Api) -> None:
    made = make(finance)
    with tenancy.scope(finance.tenant):
        budget = Budget.objects.get()
    until = (timezone.now() + timedelta(days=1)).isoformat()
    raised = propose(finance, budget, kind="until", until=until)

    put = {"period": "month", "soft": {"cost": "90"}}
    kept = finance.put(
        made["Location"], {**put, "limits": {"cost": "106"}}, If_Match=raised["ETag"]
    )
    more = finance.put(made["Location"], {**put, "limits": {"cost": "103"}}, If_Match=kept["ETag"])

    assert (kept.status_code, kept.json()["cost"]["soft"]) == (200, "90.00")
    assert more.json()["code"] == "invalid_budget"
    with tenancy.scope(finance.tenant):
        assert [extra["amount"] for extra in Budget.objects.get().extras] == ["6.000000000"]


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


@pytest.mark.parametrize("is_anew", [True, False])
def test_another_period_and_a_lift_are_raises_without_end(
    finance: Api, tenant: UUID, *, is_anew: bool
) -> None:
    needs_two(tenant)
    made, other = make(finance), Api(tenant, "finance")
    with tenancy.scope(tenant):
        Budget.objects.update(cost_spent=5)
    where = made["Location"]

    if is_anew:
        body = {"limits": {"cost": "100"}, "period": "day", "reason": "daily from now on"}
        asked = finance.put(where, body, If_Match=made["ETag"])
    else:
        asked = finance.post(f"{where}/lift", {"reason": "no end"})
    [proposal] = asked.json()["proposals"]
    path = f"{where}/raises/{proposal['id']}/confirm"
    own, done = finance.post(path), other.post(path)

    assert (asked.status_code, asked.json()["cost"]["spent"]) == (202, "5.00")
    assert proposal["kind"] == ("period" if is_anew else "lift")
    assert (own.status_code, done.status_code) == (403, 200)
    now = done.json()
    assert (now["period"], now["cost"]["limit"]) == (
        ("day", "100.00") if is_anew else ("month", None)
    )
    assert now["cost"]["spent"] == ("0.00" if is_anew else "5.00")


def test_a_lift_is_made_by_one_where_one_may_raise_any_amount(finance: Api) -> None:
    made = make(finance)

    lifted = finance.post(f"{made['Location']}/lift", {"reason": "no end"})
    again = finance.post(f"{made['Location']}/lift", {"reason": "no end"})

    assert (lifted.status_code, lifted.json()["cost"]["limit"]) == (200, None)
    assert again.json()["code"] == "invalid_budget"


def test_a_declined_lift_changes_nothing(finance: Api, tenant: UUID) -> None:
    needs_two(tenant)
    made = make(finance)
    [proposal] = finance.post(f"{made['Location']}/lift", {"reason": "x"}).json()["proposals"]

    path = f"{made['Location']}/raises/{proposal['id']}/decline"
    declined = Api(tenant, "finance").post(path, {"reason": "no"})

    assert declined.json()["cost"]["limit"] == "100.00"


def test_who_started_a_run_does_not_confirm_a_raise_for_it(finance: Api, tenant: UUID) -> None:
    needs_two(tenant)
    an_agent(tenant)
    starter = Api(tenant, "operator", "finance")
    run = a_run(starter, budget={"cost": "1"})
    with tenancy.scope(tenant):
        budget = Budget.objects.get(scope="run", scope_id=run["id"])
    [proposal] = propose(finance, budget).json()["proposals"]

    path = f"{BUDGETS}/{budget.id}/raises/{proposal['id']}/confirm"

    assert starter.post(path).status_code == 403
    assert Api(tenant, "admin").post(path).status_code == 200


def test_a_declined_raise_raises_nothing(finance: Api, tenant: UUID) -> None:
    needs_two(tenant)
    budget = a_budget(tenant)
    [proposal] = propose(finance, budget).json()["proposals"]

    path = f"{BUDGETS}/{budget.id}/raises/{proposal['id']}"
    declined = finance.post(f"{path}/decline", {"reason": "not now"})
    late = Api(tenant, "finance").post(f"{path}/confirm")

    assert declined.json()["proposals"][0]["state"] == "declined"
    assert declined.json()["cost"]["limit"] == "10.00"
    assert late.status_code == 422


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


def test_of_two_who_decide_a_raise_at_once_one_decides(finance: Api, tenant: UUID) -> None:
    needs_two(tenant)
    budget = a_budget(tenant)
    [proposal] = propose(finance, budget).json()["proposals"]
    path = f"{BUDGETS}/{budget.id}/raises/{proposal['id']}/confirm"
    callers = [Api(tenant, "finance") for _ in range(4)]

    def confirm(caller: Api) -> int:
        status: int = caller.post(path).status_code
        connection.close()
        return status

    statuses = at_once([lambda one=one: confirm(one) for one in callers])  # type: ignore[misc]

    assert sorted(statuses) == [200, 422, 422, 422]
    assert finance.get(f"{BUDGETS}/{budget.id}").json()["cost"]["limit"] == "16.00"
