"""The pages of policies: a draft is written, ordered, explained, tried and put in force."""

from __future__ import annotations

from uuid import UUID

from policy import tenancy
from policy.models import AuditEvent, PolicyVersion
from runs.models import Backtest
from tests.http import a_person, signed_in

TWO = "rules: [{name: one, decision: deny, tools: a}, {name: two, decision: allow, tools: b}]"


def test_a_draft_goes_the_whole_way(tenant: UUID) -> None:
    browser = signed_in(a_person(tenant, "admin"), tenant)
    made = browser.post("/admin/policies/new", {"document": TWO, "once": "a"})
    path = made["Location"]
    browser.post(f"{path}change", {"deed": "down", "rule": "one", "revision": "1"})
    browser.post(f"{path}change", {"deed": "delete", "rule": "one", "revision": "2"})
    explained = browser.post(f"{path}explain", {"call": "tool: c"})
    browser.post(f"{path}change", {"deed": "backtest", "runs": "10"})
    assert "0 of 0 runs so far" in browser.get(path).content.decode()
    browser.post(f"{path}change", {"deed": "activate", "reason": "agreed", "revision": "3"})

    assert "Explanation: deny" in explained.content.decode()
    assert "policy 1" in browser.get("/admin/policies/").content.decode().lower()
    with tenancy.scope(tenant):
        version = PolicyVersion.objects.get()
        assert [rule.name for rule in version.rules.all()] == ["two"]
        assert (version.revision, version.activated_at is not None) == (3, True)
        assert Backtest.objects.count() == 1
        event = AuditEvent.objects.get(action="policy.activate")
        assert event.detail["reason"] == "agreed"


def test_ordering_the_rules_of_a_draft_keeps_what_it_says_of_answers(tenant: UUID) -> None:
    browser = signed_in(a_person(tenant, "admin"), tenant)
    document = TWO + "\nanswers: {expires_after: 4h}"
    path = browser.post("/admin/policies/new", {"document": document, "once": "a"})["Location"]

    browser.post(f"{path}change", {"deed": "down", "rule": "one", "revision": "1"})
    browser.post(f"{path}change", {"deed": "delete", "rule": "one", "revision": "2"})

    with tenancy.scope(tenant):
        version = PolicyVersion.objects.get()
    assert (version.revision, version.answers) == (3, {"expires_after": "4h"})


def test_who_is_no_admin_looks_and_changes_nothing(tenant: UUID) -> None:
    browser = signed_in(a_person(tenant, "viewer"), tenant)

    refused = browser.post("/admin/policies/new", {"document": TWO, "once": "a"})

    assert refused["Location"] == "/admin/policies/"
    with tenancy.scope(tenant):
        assert not PolicyVersion.objects.exists()
