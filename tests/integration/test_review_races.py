"""Opposite decisions at the same moment, and deaths in between: exactly one decision each."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Barrier
from typing import Any

import pytest
from django.db import connection

from policy.core.actor import Actor
from policy.errors import ApprovalNotOpen
from policy.models import Approval, ApprovalDecision, AuditEvent
from runs.operations.decide import Decide, decide_approval
from tests.integration.desk_agents import of, pay
from tests.integration.engine_room import Room
from tests.integration.test_reviews import RULES, a_reviewer
from tests.unit.runs import desk

PAIRS = 50
AT_ONCE = 10


@pytest.fixture(autouse=True)
def _new_world() -> None:
    desk.world.forget()


def opposite(room: Room, row: Approval, people: tuple[Actor, Actor]) -> list[str]:
    """One approves and one rejects, at once. Gives what each was told."""
    together = Barrier(2)

    def one(decision: Any, by: Actor) -> str:
        command = Decide(
            approval_id=row.pk,
            decision=decision,
            digest=row.digest,
            version=row.version,
            reason="no",
        )
        together.wait()
        try:
            with room.scope():
                return str(decide_approval(command, by=by, now=datetime.now(UTC)))
        except ApprovalNotOpen:
            return "too late"
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        told = [pool.submit(one, what, by) for what, by in zip(("approve", "reject"), people)]  # noqa: B905
        return [answer.result() for answer in told]


def test_of_fifty_pairs_of_opposite_decisions_each_gives_exactly_one(room: Room) -> None:
    room.apply(RULES.format(terms="{}"))
    people = (a_reviewer(room, "ann"), a_reviewer(room, "bob"))
    runs = [room.play(of(pay)) for _ in range(PAIRS)]
    with room.scope():
        rows = list(Approval.objects.filter(run_id__in=runs))

    with ThreadPoolExecutor(AT_ONCE) as pool:
        told = list(pool.map(lambda row: opposite(room, row, people), rows))
    for run_id in runs:
        room.go_on(run_id)

    assert len(told) == PAIRS
    assert all("too late" in pair and len(set(pair)) == 2 for pair in told)
    with room.scope():
        ended = Approval.objects.filter(run_id__in=runs)
        final = ApprovalDecision.objects.filter(approval__in=ended, is_final=True)
        approved = ended.filter(state="approved").count()
        rejected = ended.filter(state="rejected").count()
        assert final.count() == approved + rejected == PAIRS
        subjects = [f"approval/{row.pk}" for row in ended]
        decided = AuditEvent.objects.filter(action="approval.decided", subject__in=subjects)
        assert decided.count() == PAIRS
    assert len(desk.world.calls) == approved


def test_a_worker_that_dies_between_decision_and_resume_leaves_the_call_to_the_next(
    room: Room,
) -> None:
    room.apply(RULES.format(terms="{}"))
    run_id = room.play(of(pay))
    room.ground.decide(room.ground.approvals(run_id)[0].id, "approve")
    # It won the lease after the decision, and died before it sent anything.
    assert room.ground.store.claim(room.ground.tenant, run_id, worker="dies", ttl=60)

    room.pass_time(run_id, 61)

    assert room.output(run_id) == "paid 5 for 1"
    assert len(desk.world.calls) == 1


def test_a_sweeper_and_a_person_at_the_deadline_give_one_decision(room: Room) -> None:
    room.apply(RULES.format(terms="{}"))
    runs = [room.play(of(pay)) for _ in range(10)]
    ann = a_reviewer(room, "ann")
    with room.scope():
        rows = list(Approval.objects.filter(run_id__in=runs))
    for run_id in runs:
        room.ground.pass_time(run_id, 3599.9)

    with ThreadPoolExecutor(2) as pool:
        swept = pool.submit(lambda: [room.ground.sweep(run_id) for run_id in runs])
        for row in rows:
            opposite(room, row, (ann, ann))
        swept.result()
    room.ground.sweep(runs[0])

    with room.scope():
        for row in rows:
            final = ApprovalDecision.objects.filter(approval_id=row.pk, is_final=True)
            assert final.count() <= 1
            assert (Approval.objects.get(pk=row.pk).state == "open") == (final.count() == 0)
