"""A loop on the real store: a person is asked, and their answer counts."""

from __future__ import annotations

from uuid import UUID

import pytest

from runs.models import Effect
from tests.http import a_person, signed_in
from tests.integration.engine_room import Room
from tests.unit.runs import desk
from tests.unit.runs.test_guards import ASK, FAIL, looks, of


@pytest.fixture(autouse=True)
def _new_world(room: Room) -> None:
    desk.world.forget()
    room.allow_everything()


def test_a_loop_fails_on_the_real_store_too(room: Room) -> None:
    run_id = room.play(of(looks, FAIL))

    assert room.error(run_id).startswith("human_required: the same calls gave the same results")


def test_a_person_lets_it_go_on_and_each_question_is_settled(room: Room) -> None:
    run_id = room.play(of(looks, ASK))
    assert (room.run(run_id).state, room.run(run_id).reason) == ("interrupted", "approval")

    room.decide(run_id, "approve")
    room.decide(run_id, "approve")

    assert (room.state(run_id), room.output(run_id)) == ("succeeded", 8)
    assert room.events(run_id).count("approval.requested") == 2
    with room.scope():
        asked = [row.state for row in Effect.objects.filter(run_id=run_id, kind="guard")]
    assert asked == ["done", "done"]


def test_a_person_stops_it(room: Room) -> None:
    run_id = room.play(of(looks, ASK))

    room.decide(run_id, "reject", reason="it is stuck")

    assert "it is stuck" in room.error(run_id)


def test_the_page_of_the_run_says_that_a_person_decides_and_about_what(room: Room) -> None:
    run_id = room.play(of(looks, ASK))
    tenant = UUID(room.ground.tenant)

    page = signed_in(a_person(tenant, "viewer"), tenant).get(f"/admin/runs/{run_id}/")

    assert "whether it goes on</a>" in page.content.decode()
    assert "resumes it (" not in page.content.decode()
