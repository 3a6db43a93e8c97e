"""A reviewer's correction of the state over PostgreSQL: kept, audited, replayed, over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from policy import tenancy
from policy.core.actor import SYSTEM
from policy.errors import InvalidDecision
from policy.models import Approval, AuditEvent
from runs.operations.decide import Decide, decide_approval
from runs.operations.replay import replay_run
from tests.http import Api, a_person, signed_in
from tests.integration.engine_room import Room
from tests.unit.runs import desk
from tests.unit.runs.test_corrections import RULES, a_payer


def asking(room: Room, rules: str = RULES) -> tuple[str, Approval]:
    desk.world.forget()
    room.apply(rules)
    run_id = room.play(a_payer())
    with room.scope():
        return run_id, Approval.objects.get(run_id=run_id)


def decided(room: Room, row: Approval, decision: Any = "approve", **more: Any) -> None:
    command = Decide(
        approval_id=row.pk, decision=decision, digest=row.digest, version=row.version, **more
    )
    with room.scope():
        decide_approval(command, by=SYSTEM, now=datetime.now(UTC))


def test_the_run_goes_on_with_it_and_a_replay_comes_to_the_same(room: Room) -> None:
    run_id, row = asking(room)
    decided(room, row, state={"limit": 7})
    claimed = room.ground.store.claim(room.ground.tenant, run_id, worker="dies", ttl=0.001)
    room.pass_time(run_id, 1)
    room.go_on(run_id)

    assert claimed is not None
    assert room.output(run_id) == 7
    assert "run.corrected" in room.events(run_id)
    with room.scope():
        told = AuditEvent.objects.get(action="run.corrected", subject=f"run/{run_id}")
        replayed = replay_run(UUID(run_id))
    assert (told.detail["before"], told.detail["state"]) == ({"limit": 50}, {"limit": 7})
    assert replayed.first_difference is None


def test_a_rejection_may_correct_too(room: Room) -> None:
    run_id, row = asking(room)
    decided(room, row, "reject", reason="too much", state={"limit": 3})
    room.go_on(run_id)

    assert desk.world.calls == []
    with room.scope():
        assert Approval.objects.get(pk=row.pk).corrections == {"limit": 3}


@pytest.mark.parametrize(
    ("decision", "rules", "says"),
    [
        ("edit", RULES, "is corrected with"),
        ("approve", RULES.replace("desk.pay}", "desk.pay, approval: {quorum: 2}}"), "several"),
    ],
)
def test_nobody_corrects_alone_or_beside_an_edit(
    room: Room, decision: str, rules: str, says: str
) -> None:
    _, row = asking(room, rules)

    with pytest.raises(InvalidDecision, match=says):
        decided(room, row, decision, state={"limit": 7}, arguments={"order": 1, "amount": 1})


def test_over_http_it_is_shown_checked_and_masked(room: Room) -> None:
    run_id, row = asking(room)
    tenant = UUID(room.ground.tenant)
    api, viewer = Api(tenant), Api(tenant, "viewer")
    where = f"/api/v1/approvals/{row.pk}"
    body = {"decision": "approve", "digest": row.digest}

    shown = api.get(where).json()["reviewable"]
    hidden = viewer.get(where).json()["reviewable"]
    wrong = api.post(f"{where}/decide", {**body, "state": {"limit": 101}}, If_Match='"1"')
    done = api.post(f"{where}/decide", {**body, "state": {"limit": 9}}, If_Match='"1"')
    room.go_on(run_id)

    assert [(one["channel"], one["value"]) for one in shown] == [("limit", 50)]
    assert hidden[0]["value"] == "masked"
    assert "maximum" in wrong.json()["detail"]
    assert done.json()["corrections"] == {"limit": 9}
    assert room.output(run_id) == 9


def test_the_page_sends_only_what_was_changed(room: Room) -> None:
    _, row = asking(room)
    tenant = UUID(room.ground.tenant)
    client = signed_in(a_person(tenant, "reviewer"), tenant)
    form = {
        "decision": "reject",
        "reason": "no",
        "digest": row.digest,
        "version": "1",
        "state-limit": "50",
    }

    page = client.get(f"/admin/approvals/{row.pk}/").content.decode()
    client.post(f"/admin/approvals/{row.pk}/decide", form)

    assert 'name="state-limit"' in page
    with tenancy.scope(tenant):
        after = Approval.objects.get(pk=row.pk)
    assert (after.state, after.corrections) == ("rejected", {})
