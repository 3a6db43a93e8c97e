"""Raises of budgets over HTTP: by one or by two, for a time or for good, and lifts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.utils import timezone
from uuid_utils.compat import uuid7

from policy import tenancy
from policy.models import AuditEvent, Budget, Tenant
from tests.contract.builds import at_once
from tests.http import Api, a_budget, a_run, an_agent
from tests.integration.budget_desk import BUDGETS, make, needs_two, of_a_thread, propose


@pytest.fixture
def finance(tenant: UUID) -> Api:
    return Api(tenant, "finance")


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
