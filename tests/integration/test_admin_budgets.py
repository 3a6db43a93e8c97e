"""Budgets in the admin: raised for a time, by two people, and what was spent."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from policy import tenancy
from policy.models import AuditEvent, Budget, BudgetRaise, RaiseProposal, Tenant
from tests.http import a_budget, a_person, signed_in

FORM = {"unit": "cost", "amount": "5", "reason": "busy", "once": "form-1"}


def said(answer: Any) -> str:
    text: str = answer.content.decode()
    return text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "hope"}, "choose for how long"),
        ({"kind": "until"}, "name the last day"),
        ({"kind": "until", "until": "2030-02-31"}, "name the last day"),
        ({"kind": "until", "until": "2020-01-01"}, "the date is over"),
    ],
)
def test_for_how_long_is_asked_again_where_it_makes_no_sense(
    tenant: UUID, change: dict[str, str], words: str
) -> None:
    budget = a_budget(tenant)
    client = signed_in(a_person(tenant, "finance"), tenant)

    answer = client.post(f"/admin/budgets/{budget.id}/raise", {**FORM, **change}, follow=True)

    assert words in said(answer)
    with tenancy.scope(tenant):
        assert not BudgetRaise.objects.exists()


def test_a_raise_until_a_day_holds_to_its_end(tenant: UUID) -> None:
    budget = a_budget(tenant)
    client = signed_in(a_person(tenant, "finance"), tenant)
    form = {**FORM, "kind": "until", "until": "2130-12-31"}

    client.post(f"/admin/budgets/{budget.id}/raise", form)

    with tenancy.scope(tenant):
        [raised] = BudgetRaise.objects.all()
    assert raised.until is not None
    assert raised.until.isoformat() == "2131-01-01T00:00:00+00:00"


@pytest.mark.parametrize(("decision", "limit"), [("confirm", 15), ("decline", 10)])
def test_a_large_raise_is_decided_by_somebody_else(tenant: UUID, decision: str, limit: int) -> None:
    budget = a_budget(tenant)
    with tenancy.scope(tenant):
        Tenant.objects.filter(pk=tenant).update(raise_alone_up_to=1)
    one, two = (signed_in(a_person(tenant, "finance"), tenant) for _ in range(2))
    page = f"/admin/budgets/{budget.id}/"

    proposed = said(one.post(f"{page}raise", FORM, follow=True))
    with tenancy.scope(tenant):
        proposal = RaiseProposal.objects.get()
    own = said(one.post(f"{page}raises/{proposal.id}", {"decision": "confirm"}, follow=True))
    looked = two.get(f"{page}raises/{proposal.id}")
    two.post(f"{page}raises/{proposal.id}", {"decision": decision})

    assert "when somebody else confirms it" in proposed
    assert "proposes to raise cost" in proposed
    assert "ask somebody else" in own
    assert looked.status_code == 302
    with tenancy.scope(tenant):
        assert Budget.objects.get(pk=budget.id).cost_limit == limit
        assert RaiseProposal.objects.get().state != "open"


@pytest.mark.parametrize(
    "query", ["", "by=user&since=2030-01-01&until=2029-01-01", "by=hope&since=x"]
)
def test_the_page_of_spending_bears_any_question(tenant: UUID, query: str) -> None:
    client = signed_in(a_person(tenant, "viewer"), tenant)

    answer = client.get(f"/admin/budgets/spending/?{query}")

    assert answer.status_code == 200
    assert "Nothing was spent" in said(answer)


ADDED = {
    "whose": "tenant",
    "limit-cost": "1,000",
    "soft-cost": "800",
    "limit-tool_calls": "5",
    "period": "month",
    "once": "form-2",
}


def test_a_budget_is_added_by_a_form_as_over_http(tenant: UUID) -> None:
    client = signed_in(a_person(tenant, "finance"), tenant)

    offered = said(client.get("/admin/budgets/add/"))
    answer = client.post("/admin/budgets/add/", ADDED, follow=True)
    client.post("/admin/budgets/add/", ADDED)

    assert '<option value="tenant">' in offered
    assert "Added. It counts" in said(answer)
    with tenancy.scope(tenant):
        [budget] = Budget.objects.all()
        told = AuditEvent.objects.get(action="budget.set")
    assert (budget.cost_limit, budget.cost_soft, budget.tool_calls_limit) == (1000, 800, 5)
    assert budget.period == "month"
    assert told.detail["limits"] == {"cost": "1000", "tool_calls": "5"}
    assert '<option value="tenant"' not in said(client.get("/admin/budgets/add/"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"whose": ""}, "choose whose budget it is"),
        ({"whose": "run:x"}, "choose whose budget it is"),
        ({"whose": "thread", "thread": "x"}, "give the id of the thread"),
        ({"limit-cost": "much"}, "is no amount of cost"),
        ({"limit-cost": "NaN"}, "is no amount of cost"),
        ({"limit-cost": "-1"}, "a limit is from 0"),
        ({"limit-tokens": "1.5"}, "tokens are counted in whole numbers"),
        ({"soft-cost": "2000"}, "above the hard one tells nobody"),
        ({"period": "year"}, "choose how often it begins anew"),
        ({"anchor": "2030-02-31"}, "name the day on which a period begins"),
    ],
)
def test_a_form_that_makes_no_sense_says_so_and_keeps_what_was_filled_in(
    tenant: UUID, change: dict[str, str], words: str
) -> None:
    client = signed_in(a_person(tenant, "finance"), tenant)

    answer = said(client.post("/admin/budgets/add/", {**ADDED, "soft-tokens": "77", **change}))

    assert words in answer
    assert 'value="77"' in answer
    with tenancy.scope(tenant):
        assert not Budget.objects.exists()


def test_limits_are_changed_by_who_saw_them_and_a_higher_one_is_a_raise(tenant: UUID) -> None:
    budget = a_budget(tenant)
    client = signed_in(a_person(tenant, "finance"), tenant)
    page = f"/admin/budgets/{budget.id}/change/"
    shown = said(client.get(page))

    form = {"limit-cost": "8", "soft-cost": "4", "period": "none", "version": "1"}
    lowered = said(client.post(page, form, follow=True))
    stale = said(client.post(page, form))
    higher = said(client.post(page, {**form, "limit-cost": "9", "version": "2"}))

    assert 'name="limit-cost"' in shown
    assert 'value="10"' in shown
    assert "Changed." in lowered
    assert "read it again" in stale
    assert "a higher limit is a raise" in higher
    with tenancy.scope(tenant):
        now = Budget.objects.get()
    assert (now.cost_limit, now.cost_soft) == (8, 4)


def test_a_lift_in_the_admin_is_decided_by_somebody_else(tenant: UUID) -> None:
    budget = a_budget(tenant)
    with tenancy.scope(tenant):
        Tenant.objects.filter(pk=tenant).update(raise_alone_up_to=1)
    one, two = (signed_in(a_person(tenant, "finance"), tenant) for _ in range(2))
    page = f"/admin/budgets/{budget.id}/"

    proposed = said(one.post(f"{page}lift", {"reason": "the year is over"}, follow=True))
    with tenancy.scope(tenant):
        proposal = RaiseProposal.objects.get()
    two.post(f"{page}raises/{proposal.id}", {"decision": "confirm"})

    assert "to lift it, so that it limits nothing any more: the year is over" in proposed
    with tenancy.scope(tenant):
        assert Budget.objects.get().cost_limit is None


@pytest.mark.parametrize("role", ["viewer", "operator", "reviewer"])
def test_only_finance_gets_the_forms(tenant: UUID, role: str) -> None:
    budget = a_budget(tenant)
    client = signed_in(a_person(tenant, role), tenant)

    form = said(client.get(f"/admin/budgets/{budget.id}/change/"))
    client.post(f"/admin/budgets/{budget.id}/change/", {"period": "none", "version": "1"})
    client.post(f"/admin/budgets/{budget.id}/lift", {"reason": "mine"})
    client.post("/admin/budgets/add/", {**ADDED, "whose": f"thread:{budget.id}"})

    assert "needs the role finance" in form
    with tenancy.scope(tenant):
        assert Budget.objects.get().version == 1
