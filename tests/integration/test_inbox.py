"""The reviewer's queue: whose question it is, several at once, and what a viewer does not see."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone

from policy import tenancy
from policy.models import Approval, ApprovalDecision, Principal
from tests.http import Api, a_person, a_run, an_agent, an_approval, signed_in
from tests.integration.desk_agents import of, pay
from tests.integration.engine_room import Room
from tests.integration.test_ask_agent import note
from tests.unit.runs import desk

ASKS = """
rules:
  - {{name: asks, decision: require_approval, tools: "desk.*", expires_after: 1h{more}}}
"""


def questions(room: Room, count: int, *, call: Any = note, more: str = "") -> list[Approval]:
    desk.world.forget()
    room.apply(ASKS.format(more=more))
    runs = [room.play(of(call)) for _ in range(count)]
    with room.scope():
        return [Approval.objects.get(run_id=run_id) for run_id in runs]


def as_shown(rows: list[Approval]) -> list[dict[str, Any]]:
    return [{"id": str(row.pk), "digest": row.digest, "version": row.version} for row in rows]


def page(tenant: UUID, who: Any, show: str = "") -> str:
    client = signed_in(who, tenant)
    text: str = client.get(f"/admin/approvals/?show={show}").content.decode()
    return text


def test_mine_is_what_i_may_decide_now(tenant: UUID) -> None:
    an_agent(tenant)
    run = a_run(Api(tenant))["id"]
    soon = timezone.now() + timedelta(minutes=5)
    asked: dict[str, dict[str, Any]] = {
        "a.mine": {},
        "b.theirs": {"groups": ["finance"]},
        "c.risky": {"risk": "critical"},
        "d.claimed": {"claimed_by": "x", "claimed_name": "bob", "claimed_until": soon},
        "e.later": {"deferred_until": soon},
    }
    for tool, fields in asked.items():
        an_approval(tenant, run, tool=tool, **fields)
    ann = a_person(tenant, "reviewer")
    with tenancy.scope(tenant):
        Principal.objects.filter(user=ann).update(decides_up_to="high")

    mine, free, every = (page(tenant, ann, tab) for tab in ("mine", "unclaimed", "all"))

    def tools(text: str) -> list[str]:
        known = ("a.mine", "b.theirs", "c.risky", "d.claimed", "e.later")
        return [tool[0] for tool in known if tool in text]

    assert (tools(mine), tools(free), tools(every)) == (["a"], [*"abc"], [*"abcde"])
    assert "claimed by bob" in every
    assert "put off until" in every


def test_several_of_one_kind_are_each_decided_on_their_own(room: Room) -> None:
    rows, api = questions(room, 3), Api(UUID(room.ground.tenant))
    shown = as_shown(rows)
    shown[1]["version"] = 7
    api.post(
        f"/api/v1/approvals/{rows[2].pk}/decide",
        {"decision": "reject", "digest": rows[2].digest, "reason": "no"},
        If_Match='"1"',
    )

    answer = api.post("/api/v1/approvals/approve", {"approvals": shown, "reason": "seen"})

    outcomes = [one["outcome"] for one in answer.json()["results"]]
    with room.scope():
        finals = ApprovalDecision.objects.filter(is_final=True).values_list("action", "digest")
        assert sorted(finals) == sorted([("approve", rows[0].digest), ("reject", rows[2].digest)])
    assert outcomes == ["approved", "changed", "decided_before"]


@pytest.mark.parametrize(
    ("call", "more", "why"),
    [
        (pay, "", "risk is high"),
        (note, ", approval: {four_eyes: true}", "several people"),
    ],
)
def test_what_wants_a_look_of_its_own_is_refused(
    room: Room, call: Any, more: str, why: str
) -> None:
    rows, api = questions(room, 2, call=call, more=more), Api(UUID(room.ground.tenant))

    answer = api.post("/api/v1/approvals/approve", {"approvals": as_shown(rows)}).json()

    assert [one["outcome"] for one in answer["results"]] == ["refused", "refused"]
    assert why in answer["results"][0]["detail"]


def test_what_nobody_knows_the_source_of_is_refused(tenant: UUID) -> None:
    an_agent(tenant)
    api = Api(tenant)
    row = an_approval(tenant, a_run(api)["id"], risk="low")

    answer = api.post("/api/v1/approvals/approve", {"approvals": as_shown([row])}).json()

    assert "stranger" in answer["results"][0]["detail"]


def test_different_kinds_are_not_approved_together(room: Room) -> None:
    rows = [*questions(room, 1), *questions(room, 1, call=pay)]
    api = Api(UUID(room.ground.tenant))

    mixed = api.post("/api/v1/approvals/approve", {"approvals": as_shown(rows)})
    twice = api.post("/api/v1/approvals/approve", {"approvals": as_shown([rows[0], rows[0]])})

    assert (mixed.status_code, twice.status_code) == (422, 422)
    with room.scope():
        assert not ApprovalDecision.objects.exists()


def test_the_page_shows_the_chosen_once_more_before_it_decides(room: Room) -> None:
    tenant = UUID(room.ground.tenant)
    rows = questions(room, 2)
    client = signed_in(a_person(tenant, "reviewer"), tenant)
    form = {"chosen": [f"{row.pk}/{row.digest}/{row.version}" for row in rows]}

    listed = client.get("/admin/approvals/").content.decode()
    asked = client.post("/admin/approvals/many", form).content.decode()
    with room.scope():
        assert not ApprovalDecision.objects.exists()
    done = client.post("/admin/approvals/many", {**form, "confirm": "1"}, follow=True)

    assert form["chosen"][0] in listed
    assert "Approve exactly these 2" in asked
    assert "2 approved." in done.content.decode()


@pytest.mark.parametrize("chosen", [[], ["x"], ["a/b/c"]])
def test_a_form_that_no_page_made_is_told_so(tenant: UUID, chosen: list[str]) -> None:
    client = signed_in(a_person(tenant, "reviewer"), tenant)

    answer = client.post("/admin/approvals/many", {"chosen": chosen}, follow=True)

    assert "choose" in answer.content.decode()


def test_a_viewer_sees_that_it_is_there_and_not_what_it_holds(tenant: UUID) -> None:
    an_agent(tenant)
    run = a_run(Api(tenant))["id"]
    hidden = {"to": "ann@private.example", "lines": [{"text": "hush"}]}
    row = an_approval(tenant, run, arguments=hidden, proposed=hidden)
    past = {"state": "responded", "decided_at": timezone.now(), "result": "hush"}
    an_approval(tenant, run, arguments=hidden, **past)
    viewer, reviewer = Api(tenant, "viewer"), Api(tenant, "reviewer")
    where = f"/api/v1/approvals/{row.pk}"
    reviewer.post(
        f"{where}/decide",
        {"decision": "respond", "digest": row.digest, "result": "hush"},
        If_Match='"1"',
    )
    paths = ["/api/v1/approvals", where, f"{where}/decisions", f"{where}/similar"]

    of_viewer = [viewer.get(path).content.decode() for path in paths]
    of_reviewer = [reviewer.get(path).content.decode() for path in paths]
    eyes = signed_in(a_person(tenant, "viewer"), tenant)
    pages = [
        eyes.get(f"/admin/approvals/{suffix}").content.decode()
        for suffix in ("", "?show=decided", f"{row.pk}/")
    ]

    assert [text for text in (*of_viewer, *pages) if "hush" in text or "private" in text] == []
    assert all("hush" in text for text in of_reviewer)
    assert viewer.get(where).json()["arguments"] == {"to": "masked", "lines": "masked"}


def test_what_was_decided_before_is_told_over_http(tenant: UUID) -> None:
    an_agent(tenant)
    api = Api(tenant)
    run = a_run(api)["id"]
    for amount, state in ((10, "approved"), (30, "approved"), (99, "rejected")):
        an_approval(
            tenant, run, arguments={"amount": amount}, state=state, decided_at=timezone.now()
        )
    row = an_approval(tenant, run)

    found = api.get(f"/api/v1/approvals/{row.pk}/similar").json()

    counts = {name: found[name] for name in ("approved", "rejected", "answered", "is_first")}
    assert counts == {"approved": 2, "rejected": 1, "answered": 0, "is_first": True}
    assert found["medians"] == {"amount": 20.0}
    assert [one["arguments"]["amount"] for one in found["last"]] == [99, 30, 10]


def test_an_admin_says_what_a_reviewer_decides_and_nobody_their_own(tenant: UUID) -> None:
    admin, reviewer = Api(tenant), Api(tenant, "reviewer")
    wanted = {"groups": ["finance", "leads"], "decides_up_to": "medium"}
    path = "/api/v1/principals/{}/reviewing"

    done = admin.put(path.format(reviewer.principal), wanted)
    own = admin.put(path.format(admin.principal), wanted)
    not_theirs = reviewer.put(path.format(admin.principal), wanted)
    wrong = admin.put(path.format(reviewer.principal), {**wanted, "groups": [" "]})

    assert {**done.json(), **wanted} == done.json()
    assert own.json()["code"] == "invalid_reviewing"
    assert (not_theirs.status_code, wrong.status_code) == (403, 422)
    listed = {one["id"]: one for one in admin.get("/api/v1/principals").json()["results"]}
    assert listed[str(reviewer.principal)]["groups"] == ["finance", "leads"]


def test_the_page_of_people_sets_it_too(tenant: UUID) -> None:
    reviewer = Api(tenant, "reviewer")
    client = signed_in(a_person(tenant, "admin"), tenant)

    answer = client.post(
        f"/admin/keys/{reviewer.principal}/reviewing",
        {"groups": "finance, leads", "decides_up_to": "low"},
        follow=True,
    )

    assert "in finance, leads" in answer.content.decode()
    with tenancy.scope(tenant):
        assert Principal.objects.get(pk=reviewer.principal).decides_up_to == "low"
