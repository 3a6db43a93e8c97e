"""The page of a checkpoint in the admin, and its forms."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from policy import tenancy
from runs.models import Run
from tests.http import Api, a_person, a_run, an_agent, signed_in
from tests.integration.engine_room import Room
from tests.integration.test_time_travel import held
from tests.unit.runs import desk


@pytest.fixture(autouse=True)
def _new_world() -> None:
    desk.world.forget()


@pytest.fixture
def browser(room: Room) -> Any:
    tenant = UUID(room.ground.tenant)
    return signed_in(a_person(tenant, "operator"), tenant)


def said(answer: Any) -> str:
    text: str = answer.content.decode()
    return text


def test_the_page_of_a_checkpoint_says_what_changed_and_what_stays_done(
    room: Room, browser: Any
) -> None:
    run_id = held(room)

    shown = said(browser.get(f"/admin/runs/{run_id}/moment?at=1"))

    assert "desk.note" in shown
    assert "done, cannot be undone" in shown
    assert "items of a log" in shown
    assert f"/admin/runs/{run_id}/moment?at=1" in said(browser.get(f"/admin/runs/{run_id}/"))


@pytest.mark.parametrize("at", ["99", "9" * 40, "-1", "x", ""])
def test_a_strange_number_of_a_checkpoint_is_no_error(room: Room, browser: Any, at: str) -> None:
    answer = browser.get(f"/admin/runs/{held(room)}/moment", {"at": at})

    assert answer.status_code == (404 if at == "99" else 200)


def test_an_operator_rewinds_only_with_a_yes(room: Room, browser: Any) -> None:
    run_id = held(room)
    form = {"super_step": "1", "reason": "wrong"}

    without = browser.post(f"/admin/runs/{run_id}/rewind", form, follow=True)
    untouched = room.run(run_id).super_step
    accepted = {**form, "accept_irreversible": "yes"}
    browser.post(f"/admin/runs/{run_id}/rewind", accepted)

    assert "stay done or are in doubt" in said(without)
    assert (untouched, room.run(run_id).super_step) == (2, 3)
    assert room.run(run_id).state == "queued"
    assert "abandoned" in said(browser.get(f"/admin/runs/{run_id}/"))


def test_an_operator_forks_once_with_edited_state(room: Room, browser: Any) -> None:
    run_id = held(room)
    form = {"super_step": "2", "state": '{"order": 9}', "once": "form-1"}

    answer = browser.post(f"/admin/runs/{run_id}/fork", form, follow=True)
    again = browser.post(f"/admin/runs/{run_id}/fork", form, follow=True)

    with room.scope():
        (forked,) = Run.objects.exclude(pk=run_id)
    assert str(forked.origin_run_id) == run_id
    assert "Forked from" in said(answer)
    assert "sent before" in said(again)
    assert '"order": 9' not in said(browser.get(f"/admin/runs/{run_id}/moment?at=2"))


@pytest.mark.parametrize(
    ("state", "words"), [("{", "is no JSON"), ("[]", "is an object"), ('{"x": 1}', "no channel")]
)
def test_edited_state_that_does_not_fit_is_said_and_starts_nothing(
    room: Room, browser: Any, state: str, words: str
) -> None:
    run_id = held(room)
    form = {"super_step": "2", "state": state, "once": "form-2"}

    answer = browser.post(f"/admin/runs/{run_id}/fork", form, follow=True)

    assert words in said(answer)
    with room.scope():
        assert Run.objects.count() == 1


@pytest.mark.parametrize("way", ["rewind", "fork"])
def test_a_reviewer_goes_neither_way(room: Room, way: str) -> None:
    tenant = UUID(room.ground.tenant)
    client = signed_in(a_person(tenant, "reviewer"), tenant)
    run_id = held(room)

    client.post(f"/admin/runs/{run_id}/{way}", {"super_step": "2", "once": "form-3"})

    assert room.run(run_id).super_step == 2
    with room.scope():
        assert Run.objects.count() == 1


@pytest.mark.parametrize("way", ["moment", "rewind", "fork"])
def test_another_tenants_run_is_not_found(
    room: Room, browser: Any, other_tenant: UUID, way: str
) -> None:
    an_agent(other_tenant)
    theirs = a_run(Api(other_tenant))["id"]

    asked = browser.get if way == "moment" else browser.post
    answer = asked(f"/admin/runs/{theirs}/{way}", {"super_step": "0"})

    assert answer.status_code == 404
    with tenancy.scope(other_tenant):
        assert Run.objects.get().super_step == 0
    assert room.ground.tenant != str(other_tenant)
