"""Budgets in the admin: raised for a time, by two people, and what was spent."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from policy import tenancy
from policy.models import Budget, BudgetRaise, RaiseProposal, Tenant
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
