"""People at work on what agents ask for: through the operations, and through the engine."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from policy.core.actor import Actor
from policy.errors import ApprovalChanged, ApprovalClaimed, ApprovalNotOpen, InvalidDecision
from policy.errors import NotAllowed as Refused
from policy.models import Approval, ApprovalDecision, Principal, Role
from policy.operations.create_principal import create_principal
from policy.queries.approvals import ReviewedApproval
from policy.reviews import reviewed
from runs.core.effects import EffectState
from runs.operations import review
from runs.operations.decide import Decide, decide_approval
from tests.integration.desk_agents import a_desk, of, pay, results
from tests.integration.engine_room import Room
from tests.unit.runs import desk

RULES = """
rules:
  - {{name: reads, decision: allow, effects: [read, idempotent]}}
  - {{name: never, decision: deny, tools: desk.pay, when: args.amount > 1000, priority: 9}}
  - {{name: payments, decision: require_approval, tools: desk.pay, expires_after: 1h,
      approval: {terms}}}
"""


@pytest.fixture(autouse=True)
def _new_world() -> None:
    desk.world.forget()


def a_reviewer(room: Room, name: str, *groups: str, up_to: str = "critical") -> Actor:
    with room.scope():
        identity = create_principal(name, [Role.REVIEWER])
        Principal.objects.filter(pk=identity).update(groups=list(groups), decides_up_to=up_to)
    return Actor(principal_id=str(identity), name=name, kind="user", roles=("reviewer",))


def asking(room: Room, terms: str = "{}", program: Any = None) -> str:
    room.apply(RULES.format(terms=terms))
    return room.play(program or of(pay))


def open_one(room: Room, run_id: str) -> Approval:
    with room.scope():
        return Approval.objects.get(run_id=run_id, state="open")


def say(room: Room, row: Approval, decision: Any, by: Actor, **more: Any) -> str:
    command = Decide(
        approval_id=row.pk, decision=decision, digest=row.digest, version=row.version, **more
    )
    with room.scope():
        return decide_approval(command, by=by, now=datetime.now(UTC))


def done(room: Room, row: Approval) -> list[tuple[str, str, bool]]:
    with room.scope():
        rows = ApprovalDecision.objects.filter(approval_id=row.pk).order_by("at", "id")
        return [(one.action, one.name, one.is_final) for one in rows]


def test_an_edited_call_is_made_as_edited_and_shows_both(room: Room) -> None:
    run_id = asking(room)
    ann, row = a_reviewer(room, "ann"), open_one(room, run_id)

    say(room, row, "edit", ann, arguments={"order": 1, "amount": 3}, reason="too much")
    with pytest.raises(ApprovalChanged):
        say(room, row, "approve", ann)
    after = open_one(room, run_id)
    say(room, after, "approve", ann)
    room.go_on(run_id)

    assert (after.arguments, after.proposed) == ({"order": 1, "amount": 3}, row.arguments)
    assert room.output(run_id) == "paid 3 for 1"
    assert list(desk.world.effects.values()) == ["paid 3 for 1"]
    assert done(room, row) == [("edit", "ann", False), ("approve", "ann", True)]


def test_an_edited_call_that_its_worker_dies_with_is_made_again_as_edited(room: Room) -> None:
    run_id = asking(room)
    ann = a_reviewer(room, "ann")
    say(room, open_one(room, run_id), "edit", ann, arguments={"order": 1, "amount": 3})
    row = open_one(room, run_id)
    say(room, row, "approve", ann)
    claimed = room.ground.store.claim(room.ground.tenant, run_id, worker="dies", ttl=0.01)

    assert claimed is not None
    assert claimed.ledger[0].approval_arguments == {"order": 1, "amount": 3}
    time.sleep(0.02)
    room.go_on(run_id)

    assert room.output(run_id) == "paid 3 for 1"
    assert len(desk.world.calls) == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"order": 1, "amount": "many"}, "/amount"),
        ({"order": 1}, "amount"),
        ({"order": 1, "amount": 5}, "nothing was edited"),
        ({"order": 1, "amount": 5000}, "policy denies"),
    ],
)
def test_an_edit_goes_through_the_schema_and_through_policy(
    room: Room, arguments: Any, says: str
) -> None:
    run_id = asking(room)
    row = open_one(room, run_id)

    with pytest.raises(InvalidDecision, match=says):
        say(room, row, "edit", a_reviewer(room, "ann"), arguments=arguments)

    assert open_one(room, run_id).digest == row.digest


def test_an_edit_voids_what_was_approved_before(room: Room) -> None:
    run_id = asking(room, "{quorum: 2}")
    ann, bob, cid = (a_reviewer(room, name) for name in ("ann", "bob", "cid"))
    say(room, open_one(room, run_id), "approve", ann)
    say(room, open_one(room, run_id), "edit", bob, arguments={"order": 1, "amount": 3})
    row = open_one(room, run_id)

    with pytest.raises(Refused, match="you edited"):
        say(room, row, "approve", bob)
    first = say(room, row, "approve", ann)
    second = say(room, row, "approve", cid)
    room.go_on(run_id)

    assert (first, second) == ("open", "approved")
    assert room.output(run_id) == "paid 3 for 1"


def test_an_answer_takes_the_place_of_the_call_and_names_the_person(room: Room) -> None:
    room.model(desk.SCRIPT)
    room.apply(RULES.format(terms="{}"))
    run_id = room.play(a_desk(), "Pay order 7")

    say(
        room,
        open_one(room, run_id),
        "respond",
        a_reviewer(room, "ann"),
        result="She was paid by cheque.",
    )
    room.go_on(run_id)

    assert results(room, run_id)[-1] == '{"answer":"She was paid by cheque.","answered_by":"ann"}'
    assert room.state(run_id) == "succeeded"
    assert list(desk.world.effects.values()) == ["noted seen"]


def seen_by(room: Room, row: Approval, actor: Actor) -> ReviewedApproval:
    with room.scope():
        return reviewed(Approval.objects.get(pk=row.pk), actor, now=room.now())


def test_two_different_people_approve_where_four_eyes_are_asked_for(room: Room) -> None:
    run_id = asking(room, "{four_eyes: true}")
    ann, bob, row = a_reviewer(room, "ann"), a_reviewer(room, "bob"), open_one(room, run_id)

    first = say(room, row, "approve", ann)
    with pytest.raises(Refused, match="you approved it already"):
        say(room, row, "approve", ann)
    waiting = room.state(run_id)
    second = say(room, row, "approve", bob)
    room.go_on(run_id)

    assert (first, waiting, second) == ("open", "interrupted", "approved")
    assert room.state(run_id) == "succeeded"
    assert done(room, row) == [("approve", "ann", False), ("approve", "bob", True)]
    assert seen_by(room, row, bob).approved_by == ("ann", "bob")


def test_one_rejection_ends_what_two_must_approve(room: Room) -> None:
    run_id = asking(room, "{four_eyes: true}")
    ann, bob, row = a_reviewer(room, "ann"), a_reviewer(room, "bob"), open_one(room, run_id)
    say(room, row, "approve", ann)

    say(room, row, "reject", bob, reason="not ours")
    room.go_on(run_id)

    assert room.error(run_id).endswith("rejected by bob: not ours")
    assert desk.world.calls == []
    assert seen_by(room, row, bob).approved_by == ("ann",)


def test_nobody_approves_what_they_asked_for_themselves(room: Room) -> None:
    run_id = asking(room)
    ann, row = a_reviewer(room, "ann"), open_one(room, run_id)
    with room.scope():
        Approval.objects.filter(pk=row.pk).update(started_by=ann.principal_id)

    with pytest.raises(Refused, match="you started this run"):
        say(room, row, "approve", ann)
    say(room, row, "reject", ann, reason="a mistake of mine")


@pytest.mark.parametrize(
    ("terms", "who", "says"),
    [
        ("{groups: [finance]}", {"groups": ()}, "for group finance"),
        ("{owners: [cfo]}", {"groups": ("finance",)}, "for cfo"),
        ("{}", {"up_to": "medium"}, "up to medium risk; this one is high"),
    ],
)
def test_only_those_decide_whom_the_rule_names(room: Room, terms: str, who: Any, says: str) -> None:
    run_id = asking(room, terms)
    ann = a_reviewer(room, "ann", *who.get("groups", ()), up_to=who.get("up_to", "critical"))

    with pytest.raises(Refused, match=says):
        say(room, open_one(room, run_id), "approve", ann)


def test_a_claim_keeps_others_off_until_it_is_over_or_given_back(room: Room) -> None:
    run_id = asking(room)
    ann, bob, row = a_reviewer(room, "ann"), a_reviewer(room, "bob"), open_one(room, run_id)
    now = datetime.now(UTC)
    with room.scope():
        review.claim(row.pk, by=ann, now=now)
        with pytest.raises(ApprovalClaimed, match="ann has claimed it"):
            review.claim(row.pk, by=bob, now=now)
        with pytest.raises(ApprovalClaimed):
            review.release(row.pk, by=bob, now=now)
        review.claim(row.pk, by=bob, now=now + timedelta(minutes=16))
        review.release(row.pk, by=bob, now=now + timedelta(minutes=17))

    assert say(room, row, "approve", ann) == "approved"
    assert sorted(what for what, _, _ in done(room, row)) == [
        *("approve", "claim", "claim", "release")
    ]


def test_what_is_handed_on_is_for_those_it_was_handed_to(room: Room) -> None:
    run_id = asking(room)
    ann, boss = a_reviewer(room, "ann"), a_reviewer(room, "boss", "leads")
    row, now = open_one(room, run_id), datetime.now(UTC)
    with room.scope():
        with pytest.raises(InvalidDecision, match="nobody is in a group nobodies"):
            review.escalate(
                review.Escalate(approval_id=row.pk, groups=["nobodies"]), by=ann, now=now
            )
        handed = review.Escalate(approval_id=row.pk, groups=["leads"], reason="above my pay")
        review.escalate(handed, by=ann, now=now)

    with pytest.raises(Refused, match="for group leads"):
        say(room, row, "approve", ann)
    assert say(room, row, "approve", boss) == "approved"
    assert "approval.escalated" in room.events(run_id)


def test_what_is_put_off_comes_back_by_its_deadline(room: Room) -> None:
    run_id = asking(room)
    ann, row, now = a_reviewer(room, "ann"), open_one(room, run_id), datetime.now(UTC)
    with room.scope():
        review.defer(row.pk, until=now + timedelta(days=3), by=ann, now=now, reason="lunch")
        with pytest.raises(InvalidDecision, match="still to come"):
            review.defer(row.pk, until=now, by=ann, now=now, reason="")

    assert open_one(room, run_id).deferred_until == row.expires_at
    assert say(room, row, "approve", ann) == "approved"


def test_comments_stand_beside_a_question_and_after_it(room: Room) -> None:
    run_id = asking(room)
    ann, row, now = a_reviewer(room, "ann"), open_one(room, run_id), datetime.now(UTC)
    with room.scope():
        review.comment(row.pk, text="I know her", by=ann, now=now)
    say(room, row, "approve", ann)
    with room.scope():
        review.comment(row.pk, text="It went well", by=ann, now=datetime.now(UTC))
        said = list(
            ApprovalDecision.objects.filter(approval_id=row.pk, action="comment")
            .order_by("at")
            .values_list("reason", flat=True)
        )

    assert said == ["I know her", "It went well"]


def test_the_second_decision_is_told_who_made_the_first_and_when(room: Room) -> None:
    run_id = asking(room)
    ann, bob, row = a_reviewer(room, "ann"), a_reviewer(room, "bob"), open_one(room, run_id)
    say(room, row, "approve", ann)

    with pytest.raises(ApprovalNotOpen, match=r"already approved by ann, 20\d\d-.* UTC"):
        say(room, row, "reject", bob, reason="no")


def test_a_cancelled_run_withdraws_what_it_asked_and_nobody_decides_it(room: Room) -> None:
    run_id = asking(room)
    row = open_one(room, run_id)
    room.ground.cancel(run_id)

    with pytest.raises(ApprovalNotOpen, match="withdrawn"):
        say(room, row, "approve", a_reviewer(room, "ann"))
    assert [(what, final) for what, _, final in done(room, row)] == [("withdraw", True)]
    assert room.effects(run_id)["/0/main/0"].state == EffectState.FAILED


def test_what_was_done_to_an_approval_is_never_changed(room: Room) -> None:
    run_id = asking(room)
    row = open_one(room, run_id)
    say(room, row, "approve", a_reviewer(room, "ann"))

    with room.scope(), pytest.raises(Exception, match=r"permission denied|append-only"):
        ApprovalDecision.objects.filter(approval_id=row.pk).update(reason="another")


def test_the_deadline_decides_as_the_rule_says_and_is_named(room: Room) -> None:
    run_id = asking(room, "{on_timeout: approve}")  # the risk of desk.pay is high
    room.pass_time(run_id, 3700)

    row = UUID(room.ground.approvals(run_id)[0].id)
    with room.scope():
        (act,) = ApprovalDecision.objects.filter(approval_id=row)
    assert (act.action, act.name, act.is_final) == ("expire", "the deadline", True)
    assert desk.world.calls == []
