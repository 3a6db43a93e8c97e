"""Undoing what a run did: by a run of its own, governed and durable, and never twice."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from django.db import IntegrityError

from policy.core.money import Unit
from policy.models import AuditEvent
from runs.core.recorded.compensation import Compensation, filled
from runs.models import Effect, Run
from runs.ports import Nudge
from runs.testing.dying import Died, Fate, Mortal
from tests.http import Api, a_person, signed_in
from tests.integration.engine_room import Room
from tests.integration.shop import ALLOW, ASK, DENY, SHOPPER, broken, seen


@pytest.fixture(autouse=True)
def _new_shop() -> None:
    seen.clear()
    broken.clear()


def bought(room: Room, policy: str = ALLOW) -> str:
    """A run that did four things, and has ended."""
    room.apply(ALLOW)
    run_id = room.play(SHOPPER)
    assert room.run(run_id).state == "succeeded"
    room.apply(policy)
    seen.clear()
    return run_id


@pytest.fixture
def api(room: Room) -> Api:
    return Api(UUID(room.ground.tenant), "operator")


def compensated(room: Room, api: Api, run_id: str, **body: Any) -> str:
    """Start compensating, and go on as far as it goes."""
    answer = api.post(f"/api/v1/runs/{run_id}/compensate", body)
    assert answer.status_code == 202, answer.content
    undoing: str = answer.json()["run"]["id"]
    room.go_on(undoing)
    return undoing


def states(api: Api, run_id: str) -> dict[str, str]:
    found = api.get(f"/api/v1/runs/{run_id}/compensations").json()["results"]
    return {one["name"]: one["state"] for one in found}


def test_the_preview_says_what_can_be_compensated_and_why_the_rest_cannot(
    room: Room, api: Api
) -> None:
    run_id = bought(room)

    found = api.get(f"/api/v1/runs/{run_id}/compensations").json()["results"]

    assert [(one["name"], one["state"], one["tool"]) for one in found] == [
        ("shop.mail", "impossible", ""),
        ("shop.lend", "open", "shop.release"),
        ("shop.pay", "open", "shop.refund"),
        ("shop.reserve", "open", "shop.reserve.compensate"),
    ]
    assert found[0]["why"] == "shop.mail declares no compensation"
    assert found[2]["arguments"] == {
        "amount": 5,
        "effect_result": "pay 2",
        "effect_key": f"{run_id}/1/settle/0",
    }
    assert seen == []


def test_compensations_are_called_in_reverse_order_one_super_step_each(
    room: Room, api: Api
) -> None:
    run_id = bought(room)

    undoing = compensated(room, api, run_id, reason="wrong customer")

    assert [name for name, _ in seen] == ["release", "refund", "release"]
    assert seen[1][1] == (5, "pay 2", f"{run_id}/1/settle/0", f"{undoing}/1/undo/0")
    assert room.run(undoing).state == "succeeded"
    assert room.run(undoing).super_step == 4
    assert room.output(undoing) == {"compensated": 3}
    assert states(api, run_id) == {
        "shop.mail": "impossible",
        "shop.lend": "compensated",
        "shop.pay": "compensated",
        "shop.reserve": "compensated",
    }
    assert api.get(f"/api/v1/runs/{undoing}").json()["compensates_id"] == run_id
    with room.scope():
        facts = AuditEvent.objects.get(action="run.compensating").detail
    assert (facts["reason"], len(facts["effects"])) == ("wrong customer", 3)


def test_an_effect_is_never_compensated_twice(room: Room, api: Api) -> None:
    run_id = bought(room)
    undoing = compensated(room, api, run_id)
    seen.clear()

    again = api.post(f"/api/v1/runs/{run_id}/compensate", {})
    forked = api.post(f"/api/v1/runs/{undoing}/fork", {"super_step": 0}).json()["run"]["id"]
    room.go_on(forked)

    assert (again.status_code, again.json()["code"]) == (409, "nothing_to_compensate")
    assert room.run(forked).state == "failed"
    assert "compensated before" in api.get(f"/api/v1/runs/{forked}").json()["error"]["detail"]
    assert seen == []


def test_the_database_holds_one_compensation_for_an_effect(room: Room, api: Api) -> None:
    run_id = bought(room)
    undoing = compensated(room, api, run_id)

    with room.scope():
        row = Effect.objects.filter(run_id=undoing, ordinal=0).earliest("super_step")
    row.ordinal = 99

    with pytest.raises(IntegrityError, match="effect_compensated_once"), room.scope():
        row.save(force_insert=True)


def test_two_who_compensate_at_once_start_one_run(room: Room, api: Api) -> None:
    run_id = bought(room)

    def ask(_: int) -> int:
        code: int = api.post(f"/api/v1/runs/{run_id}/compensate", {}).status_code
        return code

    with ThreadPoolExecutor(4) as pool:
        codes = sorted(pool.map(ask, range(4)))

    assert codes == [202, 409, 409, 409]
    with room.scope():
        assert Run.objects.filter(compensates_id=run_id).count() == 1


def test_a_person_approves_a_compensation_as_any_call(room: Room, api: Api) -> None:
    run_id = bought(room, ASK)

    undoing = compensated(room, api, run_id)

    assert (room.run(undoing).state, room.run(undoing).reason) == ("interrupted", "approval")
    assert states(api, run_id)["shop.pay"] == "under_way"
    room.decide(undoing, "approve")
    assert room.run(undoing).state == "succeeded"
    assert [name for name, _ in seen] == ["release", "refund", "release"]


def test_what_policy_denies_is_named_and_the_rest_is_compensated(room: Room, api: Api) -> None:
    run_id = bought(room, DENY)

    undoing = compensated(room, api, run_id)

    ended = api.get(f"/api/v1/runs/{undoing}").json()
    assert (ended["state"], ended["error"]["class"]) == ("failed", "policy_denied")
    assert "1 of 3 effects were not compensated" in ended["error"]["detail"]
    assert [name for name, _ in seen] == ["refund", "release"]
    assert states(api, run_id)["shop.lend"] == "open"


def test_what_failed_without_a_doubt_can_be_tried_again(room: Room, api: Api) -> None:
    run_id = bought(room)
    broken.add("refund")
    compensated(room, api, run_id)
    broken.clear()
    seen.clear()

    undoing = compensated(room, api, run_id)

    assert [name for name, _ in seen] == ["refund"]
    assert room.run(undoing).state == "succeeded"
    assert set(states(api, run_id).values()) == {"compensated", "impossible"}


def test_only_what_is_named_is_compensated(room: Room, api: Api) -> None:
    run_id = bought(room)

    compensated(room, api, run_id, effects=[f"{run_id}/1/settle/0"])
    unknown = api.post(f"/api/v1/runs/{run_id}/compensate", {"effects": [f"{run_id}/9/x/0"]})

    assert [name for name, _ in seen] == ["refund"]
    assert unknown.status_code == 409


def test_money_pauses_a_compensation_and_a_raise_lets_it_go_on(room: Room, api: Api) -> None:
    run_id = bought(room)

    undoing = compensated(room, api, run_id, budget={"tool_calls": 1})

    assert (room.run(undoing).state, room.run(undoing).reason) == ("paused", "budget")
    room.ground.raise_budget(undoing, Unit.TOOL_CALLS, 5)
    room.go_on(undoing)
    assert room.run(undoing).state == "succeeded"
    assert [name for name, _ in seen] == ["release", "refund", "release"]


def test_a_run_that_goes_on_by_itself_is_not_compensated(room: Room, api: Api) -> None:
    room.apply(ALLOW)
    run_id = room.start(SHOPPER)

    answer = api.post(f"/api/v1/runs/{run_id}/compensate", {})

    assert (answer.status_code, answer.json()["code"]) == (409, "illegal_move")
    assert "cancel it" in answer.json()["detail"]


def test_a_killed_worker_repeats_no_compensation(room: Room, api: Api) -> None:
    run_id = bought(room)
    answer = api.post(f"/api/v1/runs/{run_id}/compensate", {}).json()
    undoing = answer["run"]["id"]
    fate = Fate(frozenset({2, 6, 11, 16}))

    for _ in range(8):
        mortal = Mortal(room.ground.store, fate)
        room.nudges.append(Nudge(tenant_id=room.ground.tenant, run_id=undoing))
        try:
            room.drive(room.engine(store=mortal))
        except Died:
            room.ground.pass_time(undoing, 61)
        if room.run(undoing).reason == "outcome_unknown":
            key = next(k for k, row in room.effects(undoing).items() if row.state == "unknown")
            done = [name for name, _ in seen]
            asked = {"/0/undo/0": 1, "/1/undo/0": 2, "/2/undo/0": 3}[key]
            if len(done) >= asked:
                room.ground.decide(_open(room, undoing), "happened", result=f"release {asked}")
            else:
                room.ground.decide(_open(room, undoing), "not_happened")

    assert room.run(undoing).state == "succeeded"
    assert [name for name, _ in seen] == ["release", "refund", "release"]


def _open(room: Room, run_id: str) -> str:
    return next(a.id for a in room.ground.approvals(run_id) if a.state == "open")


def test_a_compensating_run_is_nobodys_to_start_by_name(room: Room, api: Api) -> None:
    run_id = bought(room)
    compensated(room, api, run_id)
    with room.scope():
        version = Run.objects.select_related("agent_version").get(compensates_id=run_id)

    answer = api.post(
        "/api/v1/runs",
        {"agent": "shopper", "version": version.agent_version.version, "input": {"effects": []}},
    )

    assert answer.status_code in {404, 422}


def test_an_effect_that_was_compensated_needs_no_yes_of_a_rewind(room: Room, api: Api) -> None:
    room.apply(ASK_TO_MAIL)
    run_id = room.play(SHOPPER)
    assert room.run(run_id).reason == "approval"
    refused = api.post(f"/api/v1/runs/{run_id}/rewind", {"super_step": 0})

    compensated(room, api, run_id)
    taken = api.post(f"/api/v1/runs/{run_id}/rewind", {"super_step": 0})

    assert refused.status_code == 409
    assert taken.status_code == 202
    assert {row["compensation"] for row in taken.json()["irreversible"]} == {"compensated"}


ASK_TO_MAIL = """
rules:
  - {name: ask, decision: require_approval, tools: "shop.mail", priority: 1, expires_after: 1h}
  - {name: all, decision: allow, tools: "shop.*"}
"""


def test_the_page_shows_what_can_be_undone_and_starts_it(room: Room) -> None:
    tenant = UUID(room.ground.tenant)
    browser = signed_in(a_person(tenant, "operator"), tenant)
    run_id = bought(room)

    shown = browser.get(f"/admin/runs/{run_id}/compensate").content.decode()
    answer = browser.post(
        f"/admin/runs/{run_id}/compensate",
        {"effect": [f"{run_id}/1/settle/0"], "reason": "wrong"},
        follow=True,
    )

    assert "shop.mail declares no compensation" in shown
    assert "3 of 4 effects" in shown
    assert "Compensates" in answer.content.decode()
    with room.scope():
        assert Run.objects.filter(compensates_id=run_id).count() == 1


def test_a_viewer_undoes_nothing(room: Room) -> None:
    tenant = UUID(room.ground.tenant)
    browser = signed_in(a_person(tenant, "viewer"), tenant)
    run_id = bought(room)

    browser.post(f"/admin/runs/{run_id}/compensate", {"effect": [f"{run_id}/1/settle/0"]})
    answer = Api(tenant, "viewer").post(f"/api/v1/runs/{run_id}/compensate", {})

    assert answer.status_code == 403
    with room.scope():
        assert not Run.objects.filter(compensates_id=run_id).exists()


def test_parameters_are_filled_by_name() -> None:
    schema = {"properties": {"a": {}, "effect_key": {}}, "required": ["a"]}

    assert filled(schema, arguments={"a": 1, "b": 2}, result=3, key="k") == {
        "a": 1,
        "effect_key": "k",
    }
    with pytest.raises(ValueError, match="it wants a"):
        filled(schema, arguments={}, result=3, key="k")
    assert Compensation("open") is Compensation.OPEN
