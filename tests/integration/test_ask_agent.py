"""An agent is asked about an approval: its result comes back once, and counts as the rule says."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from policy.core.actor import SYSTEM
from policy.core.json import Json
from policy.errors import InvalidDecision
from policy.models import Approval, ApprovalDecision
from runs.agents import Context, Program
from runs.agents.registry import register
from runs.operations.ask_agent import ask_agent
from runs.operations.decide import Decide, decide_approval
from runs.ports import Lease
from tests.http import Api
from tests.integration.desk_agents import of, pay
from tests.integration.engine_room import Room
from tests.unit.runs import desk

RULES = """
rules:
  - {{name: asks, decision: require_approval, tools: "desk.*", expires_after: 1h,
      approval: {{agents_may: {may}{more}}}}}
"""


@pytest.fixture(autouse=True)
def _new_world() -> None:
    desk.world.forget()


async def note(ctx: Context) -> dict[str, Any]:
    return {"output": await ctx.tool("desk.note", text="hello")}


def a_knower(says: Json) -> Program:
    async def know(_: Context) -> dict[str, Any]:
        if says == "fails":
            raise ValueError("no idea")
        return {"output": says}

    return of(know, name="knower")


def asked(room: Room, may: str, says: Json, *, call: Any = pay, more: str = "") -> tuple[str, str]:
    """Let a run wait for an approval, ask the agent, and let that run end: both runs."""
    room.apply(RULES.format(may=may, more=more))
    waiting = room.play(of(call))
    register(a_knower(says))
    with room.scope():
        row = Approval.objects.get(run_id=waiting, state="open")
        run_id = str(ask_agent(row.pk, "knower", by=SYSTEM, now=datetime.now(UTC)))
    room.go_on(run_id)
    return waiting, run_id


def the_question(room: Room, run_id: str) -> Approval:
    with room.scope():
        return Approval.objects.get(run_id=run_id)


def acts(room: Room, run_id: str) -> list[tuple[str, str, bool]]:
    with room.scope():
        rows = ApprovalDecision.objects.filter(approval__run_id=run_id).order_by("at", "id")
        return [(one.action, one.name, one.is_final) for one in rows]


def test_by_default_what_it_says_is_advice_and_a_person_decides(room: Room) -> None:
    waiting, run_id = asked(room, "advise", {"decision": "approve", "reason": "it is fine"})
    room.sweep(waiting)
    room.sweep(waiting)

    row = the_question(room, waiting)
    assert (row.state, row.delegate_run_id) == ("open", None)
    assert acts(room, waiting) == [
        ("delegate", "system", False),
        ("comment", "agent knower", False),
    ]
    assert room.events(waiting)[-2:] == ["approval.delegated", "approval.advised"]
    assert str(room.row(run_id).answers_id) == str(row.pk)
    assert desk.world.calls == []


@pytest.mark.parametrize("says", ["pay tomorrow", {"answer": "pay tomorrow"}])
def test_where_it_may_its_answer_takes_the_place_of_the_call(room: Room, says: Json) -> None:
    waiting, _ = asked(room, "respond", says)
    room.sweep(waiting)

    assert room.output(waiting) == {"answered_by": "agent knower", "answer": "pay tomorrow"}
    assert acts(room, waiting)[-1] == ("respond", "agent knower", True)
    assert desk.world.calls == []


REJECTS = '{"decision": "reject", "reason": "too much"}'


@pytest.mark.parametrize("says", [REJECTS, {"answer": REJECTS}])
def test_a_rejection_written_as_text_is_taken_at_its_word(room: Room, says: Json) -> None:
    waiting, _ = asked(room, "respond", says)
    room.sweep(waiting)

    row = the_question(room, waiting)
    assert (row.state, row.decision_reason) == ("rejected", "too much")


@pytest.mark.parametrize("may", ["respond", "decide"])
def test_it_never_approves_what_is_made_once_and_cannot_be_undone(room: Room, may: str) -> None:
    waiting, _ = asked(room, may, {"decision": "approve"})
    room.sweep(waiting)

    assert the_question(room, waiting).state == "open"
    assert desk.world.calls == []


def test_it_approves_what_is_small_and_repeatable_where_the_rule_says_decide(room: Room) -> None:
    waiting, _ = asked(room, "decide", {"decision": "approve"}, call=note)
    room.sweep(waiting)

    assert room.output(waiting) == "noted hello"
    assert the_question(room, waiting).decided_by == "agent knower"


@pytest.mark.parametrize(
    ("says", "more"),
    [("fails", ""), (None, ""), ({"decision": "reject"}, ""), ("an answer", ", quorum: 2")],
)
def test_what_does_not_suffice_is_advice(room: Room, says: Json, more: str) -> None:
    waiting, _ = asked(room, "decide", says, more=more)
    room.sweep(waiting)

    assert the_question(room, waiting).state == "open"
    assert acts(room, waiting)[-1][:2] == ("comment", "agent knower")


def test_a_person_who_decides_meanwhile_is_first(room: Room) -> None:
    waiting, _ = asked(room, "decide", "too late")
    row = the_question(room, waiting)
    command = Decide(approval_id=row.pk, decision="approve", digest=row.digest, version=row.version)
    with room.scope():
        decide_approval(command, by=SYSTEM, now=datetime.now(UTC))
    room.sweep(waiting)

    assert room.output(waiting) == "paid 5 for 1"
    assert acts(room, waiting)[-1] == ("approve", "system", True)


def test_nothing_of_the_question_is_trusted_in_its_run(room: Room) -> None:
    _, run_id = asked(room, "advise", "done")
    lease = Lease(tenant_id=room.ground.tenant, run_id=run_id, token=0, super_step=9, worker="w")

    told = room.ground.store.read_told(lease, 0)

    assert (told.is_forked, told.given) == (True, None)


def test_one_agent_at_a_time_and_never_the_one_that_asks(room: Room) -> None:
    waiting, _ = asked(room, "advise", "hm")
    row, now = the_question(room, waiting), datetime.now(UTC)

    for name, says in (("knower", "at it already"), ("payer", "at it already")):
        with room.scope(), pytest.raises(InvalidDecision, match=says):
            ask_agent(row.pk, name, by=SYSTEM, now=now)
    room.sweep(waiting)
    for name, says in (("payer", "own call"), ("nobody", "no agent nobody")):
        with room.scope(), pytest.raises(InvalidDecision, match=says):
            ask_agent(row.pk, name, by=SYSTEM, now=now)


def test_over_http_it_is_an_escalation(room: Room) -> None:
    room.apply(RULES.format(may="advise", more=""))
    waiting = room.play(of(pay))
    register(a_knower("fine"))
    row, api = the_question(room, waiting), Api(UUID(room.ground.tenant))
    body = {"decision": "escalate", "digest": row.digest, "agent": "knower"}

    both = api.post(f"/api/v1/approvals/{row.pk}/decide", {**body, "owners": ["x"]}, If_Match='"1"')
    done = api.post(f"/api/v1/approvals/{row.pk}/decide", body, If_Match='"1"')

    assert both.status_code == 422
    run_id = done.json()["delegate_run_id"]
    assert api.get(f"/api/v1/runs/{run_id}").json()["answers_id"] == str(row.pk)
