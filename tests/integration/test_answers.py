"""Answers over PostgreSQL: the tenant's own secrets, others' ids, and its settings."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.test import override_settings

from gateway.models import ModelEndpoint
from gateway.operations.add_endpoint import add_endpoint
from policy import tenancy
from policy.core.actor import SYSTEM
from policy.core.rules.approvals import ApprovalTerms, terms_to_json
from policy.errors import InvalidDecision, InvalidSetting
from policy.models import Approval, AuditEvent, Notice, Principal
from policy.operations.set_tenant import set_answers
from policy.operations.subscriptions import SetSubscription, add_subscription
from runs.agents import Context, Program
from runs.operations.decide import Decide, decide_approval
from tests.http import Api, a_person, a_run, an_agent, signed_in
from tests.integration.desk_agents import of
from tests.integration.engine_room import Room

KEY = "a-key-that-nobody-guesses"


def a_teller(says: Any) -> Program:
    async def tell(_: Context) -> dict[str, Any]:
        return {"output": says}

    return of(tell, name="teller")


def with_key(room: Room) -> None:
    with room.scope():
        if ModelEndpoint.objects.filter(name="vendor").exists():
            return
        add_endpoint("vendor", provider="openai", base_url="https://m.example", api_key=KEY)


def test_a_key_of_the_tenants_own_does_not_leave_and_the_event_says_so(room: Room) -> None:
    with_key(room)
    run_id = room.play(a_teller(f"the key is {KEY}"))

    assert room.output(run_id) == "the key is [secret removed]"
    assert "answer.checked" in room.events(run_id)


def test_another_tenants_key_is_no_secret_of_ours_and_its_ids_do_not_leave(
    room: Room, other_tenant: UUID
) -> None:
    an_agent(other_tenant)
    theirs = a_run(Api(other_tenant))["id"]
    an_agent(UUID(room.ground.tenant))
    ours = a_run(Api(UUID(room.ground.tenant)))["id"]

    run_id = room.play(a_teller({"runs": [theirs, ours]}))

    assert room.output(run_id) == {"runs": ["[id removed]", ours]}


def test_what_the_tenant_says_counts_and_is_written_down(room: Room) -> None:
    with_key(room)
    with room.scope():
        set_answers({"secrets": "withhold"}, by=SYSTEM)
        told = AuditEvent.objects.filter(action="tenant.set").latest("id").detail
    run_id = room.play(a_teller(f"the key is {KEY}"))

    assert told["answers"] == {"secrets": "withhold"}
    assert (room.state(run_id), room.output(run_id)) == ("failed", None)
    assert "withheld" in room.error(run_id)


def asking(room: Room) -> tuple[str, Approval]:
    with_key(room)
    with room.scope():
        set_answers({"secrets": "ask"}, by=SYSTEM)
    run_id = room.play(a_teller(f"the key is {KEY}"))
    with room.scope():
        return run_id, Approval.objects.get(run_id=run_id)


@pytest.mark.parametrize(
    ("decision", "more", "state", "output"),
    [
        ("approve", {}, "succeeded", f"the key is {KEY}"),
        ("respond", {"result": "ask me in person"}, "succeeded", "ask me in person"),
        ("reject", {"reason": "not by mail"}, "failed", None),
    ],
)
def test_a_person_lets_an_answer_leave_gives_another_or_refuses_it(
    room: Room, decision: Any, more: dict[str, Any], state: str, output: Any
) -> None:
    run_id, asked = asking(room)
    waits = room.run(run_id)
    api = Api(UUID(room.ground.tenant), "reviewer")
    shown = api.get(f"/api/v1/approvals/{asked.pk}")
    masked = Api(UUID(room.ground.tenant), "viewer").get(f"/api/v1/approvals/{asked.pk}")

    body = {"decision": decision, "digest": asked.digest, **more}
    path = f"/api/v1/approvals/{asked.pk}/decide"
    answer = api.post(path, body, If_Match=f'"{asked.version}"')
    room.go_on(run_id)

    assert (waits.state, waits.reason) == ("interrupted", "approval")
    assert shown.json()["arguments"]["answer"] == f"the key is {KEY}"
    assert KEY not in masked.content.decode()
    assert answer.status_code == 200, answer.content
    assert (room.state(run_id), room.output(run_id)) == (state, output)
    assert room.run(run_id).state == state


@pytest.mark.parametrize("decision", ["approve", "respond"])
def test_nobody_lets_the_answer_of_their_own_run_leave_in_any_words(
    room: Room, decision: str
) -> None:
    run_id, row = asking(room)
    api = Api(UUID(room.ground.tenant), "reviewer")
    with room.scope():
        Approval.objects.filter(pk=row.pk).update(started_by=api.principal)

    body = {"decision": decision, "digest": row.digest, "result": row.arguments["answer"]}
    answer = api.post(f"/api/v1/approvals/{row.pk}/decide", body, If_Match=f'"{row.version}"')
    room.go_on(run_id)

    assert (answer.status_code, room.output(run_id)) == (403, None), answer.content
    assert room.run(run_id).state == "interrupted"


def test_a_refusal_holds_and_what_was_shown_leaves_whatever_the_settings_say_by_now(
    room: Room,
) -> None:
    ends, shown = [], []
    for decision in ("reject", "approve"):
        run_id, row = asking(room)
        shown.append(row.arguments["answer"])
        with room.scope():
            set_answers({"secrets": "redact"}, by=SYSTEM)
        room.decide(run_id, decision, reason="not by mail")
        room.go_on(run_id)
        ends.append((room.state(run_id), room.output(run_id)))

    assert shown == [f"the key is {KEY}"] * 2
    assert ends == [("failed", None), ("succeeded", f"the key is {KEY}")]


def test_nobody_corrects_a_state_with_an_answer(room: Room) -> None:
    _, row = asking(room)
    body = {"decision": "approve", "digest": row.digest, "state": {"output": "mine"}}

    answer = Api(UUID(room.ground.tenant), "reviewer").post(
        f"/api/v1/approvals/{row.pk}/decide", body, If_Match=f'"{row.version}"'
    )

    assert answer.status_code == 422, answer.content
    assert "the run is done" in answer.json()["detail"]


def test_no_agent_is_asked_about_an_answer_that_is_held(room: Room) -> None:
    _, row = asking(room)
    body = {"decision": "escalate", "agent": "helper", "digest": row.digest}

    answer = Api(UUID(room.ground.tenant), "reviewer").post(
        f"/api/v1/approvals/{row.pk}/decide", body, If_Match=f'"{row.version}"'
    )

    with room.scope():
        row.refresh_from_db()
    assert answer.status_code == 422, answer.content
    assert "no agent is asked about an answer" in answer.json()["detail"]
    assert row.delegate_run_id is None


def test_notices_of_an_answer_leave_it_out(room: Room) -> None:
    wanted = SetSubscription(
        name="all",
        channel="email",
        addresses=("desk@shop.example",),
        include=("arguments", "reasons"),
    )
    with room.scope(), override_settings(EMAIL_HOST="mail.shop.example"):
        add_subscription(wanted, by=SYSTEM)
    _, row = asking(room)

    with room.scope():
        [notice] = Notice.objects.filter(approval_id=row.pk)
    assert (notice.body["data"]["kind"], notice.body["data"]["reason"]) == ("answer", row.reason)
    assert "arguments" not in notice.body["data"]


def test_the_page_of_a_run_says_that_a_person_decides_about_its_answer(room: Room) -> None:
    run_id, row = asking(room)
    tenant = UUID(room.ground.tenant)

    page = signed_in(a_person(tenant, "viewer"), tenant).get(f"/admin/runs/{run_id}/")

    said = page.content.decode()
    assert "whether its answer may leave</a>" in said
    assert f"/admin/approvals/{row.pk}/" in said
    assert "resumes it (" not in said


def test_where_several_must_let_an_answer_leave_nobody_gives_another_alone(room: Room) -> None:
    _, row = asking(room)
    terms = terms_to_json(ApprovalTerms(quorum=2))
    with room.scope():
        Approval.objects.filter(pk=row.pk).update(terms=terms)
        row.refresh_from_db()
        command = Decide(
            approval_id=row.pk,
            decision="respond",
            digest=row.digest,
            version=row.version,
            result="mine",
        )

        with pytest.raises(InvalidDecision, match="gives another alone"):
            decide_approval(command, by=SYSTEM, now=room.now())


PRIVACY = """
rules: [{name: all, decision: allow}]
answers: {expires_after: 1h, approval: {groups: [privacy], quorum: 2}}
"""


def test_two_of_the_group_that_the_policy_names_let_an_answer_leave(room: Room) -> None:
    room.apply(PRIVACY)
    tenant = UUID(room.ground.tenant)
    run_id, row = asking(room)
    path = f"/api/v1/approvals/{row.pk}"
    people = [Api(tenant, "reviewer") for _ in range(3)]
    with room.scope():
        ours = [one.principal for one in people[:2]]
        Principal.objects.filter(pk__in=ours).update(groups=["privacy"])

    answers = []
    for one in (people[2], *people[:2]):
        shown = one.get(path).json()
        body = {"decision": "approve", "digest": shown["digest"]}
        said = one.post(f"{path}/decide", body, If_Match=f'"{shown["version"]}"')
        answers.append((said.status_code, shown["state"]))
    room.go_on(run_id)

    assert (row.groups, row.expires_at - row.created_at) == (["privacy"], timedelta(hours=1))
    assert answers == [(403, "open"), (200, "open"), (200, "open")]
    assert (room.state(run_id), room.output(run_id)) == ("succeeded", f"the key is {KEY}")


def test_an_answer_has_as_long_as_the_policy_says(room: Room) -> None:
    room.apply(PRIVACY)
    run_id, _ = asking(room)

    room.pass_time(run_id, 3601)
    room.go_on(run_id)

    assert (room.state(run_id), room.output(run_id)) == ("failed", None)


def test_an_answer_that_nobody_decides_about_does_not_leave(room: Room) -> None:
    run_id, asked = asking(room)

    room.pass_time(run_id, 8 * 24 * 3600)
    room.go_on(run_id)

    assert asked.kind == "answer"
    assert (room.state(run_id), room.output(run_id)) == ("failed", None)


def test_the_page_of_an_answer_shows_what_may_be_done_with_it(room: Room) -> None:
    _, asked = asking(room)
    tenant = UUID(room.ground.tenant)
    client = signed_in(a_person(tenant, "reviewer"), tenant)

    page = client.get(f"/admin/approvals/{asked.pk}/").content.decode()
    queue = client.get("/admin/approvals/").content.decode()

    assert "teller answers: may it leave?" in page
    assert "teller answers: may it leave?" in queue
    assert "risk unknown" not in queue
    assert "Let it leave as it is" in page
    assert "Edit the arguments" not in page
    assert "<div>secrets: a credential of the tenant</div>" in page
    assert [word for word in ("Where it comes from", "Effect class") if word in page] == []


@pytest.mark.parametrize("wanted", [{"secrets": "hide"}, {"jokes": "redact"}, {"": ""}])
def test_a_setting_that_is_none_is_refused(tenant: UUID, wanted: dict[str, str]) -> None:
    with tenancy.scope(tenant), pytest.raises(InvalidSetting):
        set_answers(wanted, by=SYSTEM)
