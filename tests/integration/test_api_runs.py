from __future__ import annotations

import threading
import time
from uuid import UUID

import pytest
from django.db import connection
from django.utils import timezone

from policy import tenancy
from runs.models import Run
from tests.http import Api, a_run, an_agent


@pytest.fixture
def api(tenant: UUID) -> Api:
    an_agent(tenant)
    return Api(tenant, "operator")


def test_a_started_run_is_accepted_and_can_be_read_at_its_location(api: Api) -> None:
    answer = api.post(
        "/api/v1/runs",
        {
            "agent": "helper",
            "input": {"request": "h\u00e9llo"},
            "budget": {"cost": "0.50"},
            "deadline": 60,
            "metadata": {"ticket": 7, "order": 10**25},
        },
    )

    assert answer.status_code == 202
    run = api.get(answer["Location"]).json()
    assert run["id"] == answer.json()["id"]
    assert (run["state"], run["agent"], run["version"]) == ("queued", "helper", "1")
    assert run["input"] == {"request": "h\u00e9llo"}
    assert run["metadata"] == {"ticket": 7, "order": 10**25}
    own = next(budget for budget in run["budgets"] if budget["scope"] == "run")
    assert own["cost"]["limit"] == own["cost"]["left"] == "0.50"
    assert own["cost"]["currency"] == "USD"
    assert run["deadline"].endswith("Z")


@pytest.mark.parametrize(
    ("change", "status", "pointer"),
    [
        ({"agent": "nobody"}, 404, None),
        ({"version": "99"}, 404, None),
        ({"surprise": 1}, 422, "/surprise"),
        ({"deadline": -1}, 422, "/deadline"),
        ({"deadline": 10**200}, 422, "/deadline"),
        ({"deadline": "2001-01-01T00:00:00Z"}, 422, "/deadline"),
        ({"budget": {"cost": "much"}}, 422, "/budget/cost"),
        ({"budget": {"money": 1}}, 422, "/budget/money"),
        ({"budget": {"tokens": 2**70}}, 422, "/budget/tokens"),
        ({"metadata": []}, 422, "/metadata"),
        ({"metadata": {str(n): n for n in range(99)}}, 422, "/metadata"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_pointer(
    api: Api, change: dict[str, object], status: int, pointer: str | None
) -> None:
    answer = api.post("/api/v1/runs", {"agent": "helper", "input": {"request": ""}, **change})

    assert answer.status_code == status, answer.content
    assert pointer is None or pointer in {error["pointer"] for error in answer.json()["errors"]}


def test_pages_of_runs_neither_repeat_nor_hide_one(api: Api) -> None:
    started = [a_run(api)["id"] for _ in range(7)]
    seen: list[str] = []
    cursor, pages = "", 0
    while True:
        page = api.get(f"/api/v1/runs?limit=3{cursor}").json()
        seen += [run["id"] for run in page["results"]]
        pages += 1
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    back = api.get(f"/api/v1/runs?limit=3&cursor={page['previous']}").json()

    assert seen == started[::-1]
    assert pages == 3
    assert [run["id"] for run in back["results"]] == seen[3:6]


def test_runs_are_found_by_state_agent_and_metadata(api: Api) -> None:
    wanted = a_run(api, metadata={"ticket": 7, "kind": "late"})["id"]
    a_run(api, metadata={"ticket": 8})

    def found(query: str) -> list[str]:
        answer = api.get(f"/api/v1/runs?{query}")
        assert answer.status_code == 200, answer.content
        return [run["id"] for run in answer.json()["results"]]

    assert found("metadata.ticket=7") == found("metadata.kind=late") == [wanted]
    assert len(found("state=queued,running&agent=helper")) == 2
    assert found("state=failed") == found("agent=other") == found("metadata.ticket=nobody") == []


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("limit=0", 422),
        ("limit=9999", 422),
        ("limit=1&limit=2", 422),
        ("state=asleep", 422),
        ("agent=%00", 422),
        ("surprise=1", 422),
        ("metadata.a=%00", 422),
        ("cursor=nonsense", 400),
        ("cursor=WyJ4IiwgMSwgMV0=", 400),
        ("cursor=W1tbW1tbW1tb", 400),
    ],
)
def test_queries_that_make_no_sense_are_refused(api: Api, query: str, status: int) -> None:
    assert api.get(f"/api/v1/runs?{query}").status_code == status


def test_a_cancelled_run_stays_cancelled(api: Api) -> None:
    run = a_run(api)
    path = f"/api/v1/runs/{run['id']}/cancel"

    first = api.post(path, {"reason": "changed my mind"})
    second = api.post(path, {"reason": "again"})

    assert first.status_code == 202
    assert first.json()["state"] == "cancelled"
    assert first.json()["finished_at"] is not None
    assert second.status_code == 409
    assert second.json()["code"] == "illegal_move"


def test_a_parked_run_goes_on_once_and_no_other_does(api: Api, tenant: UUID) -> None:
    run = a_run(api)
    path = f"/api/v1/runs/{run['id']}/resume"
    with tenancy.scope(tenant):
        Run.objects.filter(pk=run["id"]).update(state="interrupted", reason="poison", crashes=5)

    first = api.post(path, {"reason": "mended"})
    second = api.post(path, {"reason": "again"})

    assert (first.status_code, first.json()["state"], first.json()["crashes"]) == (202, "queued", 0)
    assert (second.status_code, second.json()["code"]) == (409, "illegal_move")


def test_a_viewer_may_look_but_not_start_or_cancel(api: Api, tenant: UUID) -> None:
    viewer = Api(tenant, "viewer")
    run = a_run(api)

    assert viewer.get(f"/api/v1/runs/{run['id']}").status_code == 200
    for path, body in (
        ("/api/v1/runs", {"agent": "helper", "input": 1}),
        (f"/api/v1/runs/{run['id']}/cancel", {}),
        (f"/api/v1/runs/{run['id']}/resume", {}),
    ):
        answer = viewer.post(path, body)
        assert (answer.status_code, answer.json()["code"]) == (403, "not_allowed")


@pytest.mark.parametrize("part", ["steps", "events", "effects", "checkpoints"])
def test_what_a_run_did_can_be_read(api: Api, part: str) -> None:
    run = a_run(api)

    answer = api.get(f"/api/v1/runs/{run['id']}/{part}")

    assert answer.status_code == 200
    assert set(answer.json()) == {"results", "next_after"}
    if part == "events":
        assert [event["seq"] for event in answer.json()["results"]] == [1]
        assert api.get(f"/api/v1/runs/{run['id']}/events?after=1").json()["results"] == []
    if part == "checkpoints":
        assert answer.json()["results"][0]["writes"]["input"] == {"request": "hello"}


def test_waiting_gives_the_run_as_soon_as_it_rests(api: Api, tenant: UUID) -> None:
    def end_soon() -> None:
        try:
            deadline = time.monotonic() + 5
            while time.monotonic() < deadline:
                with tenancy.scope(tenant):
                    changed = Run.objects.filter(metadata={"wait": True}).update(
                        state="succeeded", finished_at=timezone.now(), output="done"
                    )
                if changed:
                    return
                time.sleep(0.05)
        finally:
            connection.close()

    ender = threading.Thread(target=end_soon)
    ender.start()
    answer = api.post(
        "/api/v1/runs",
        {"agent": "helper", "input": {"request": ""}, "metadata": {"wait": True}},
        Prefer="respond-async, wait=10",
    )
    ender.join()

    assert answer.status_code == 200
    assert answer["Preference-Applied"] == "wait=10"
    assert (answer.json()["state"], answer.json()["output"]) == ("succeeded", "done")


def test_waiting_ends_in_time_where_the_run_does_not(api: Api) -> None:
    began = time.monotonic()
    answer = api.post(
        "/api/v1/runs", {"agent": "helper", "input": {"request": ""}}, Prefer="wait=1"
    )

    assert answer.status_code == 202
    assert 1 <= time.monotonic() - began < 5


def test_agents_are_listed_with_their_versions(api: Api) -> None:
    agents = api.get("/api/v1/agents").json()["results"]

    ours = next(agent for agent in agents if agent["name"] == "helper")
    assert [version["version"] for version in ours["versions"]] == ["1"]


def test_a_signal_is_kept_once_and_the_run_is_called_upon(api: Api) -> None:
    run_id = a_run(api)["id"]
    path = f"/api/v1/runs/{run_id}/signals"
    told = {"name": "paid", "payload": {"amount": 1}, "id": "s1"}

    first, again = api.post(path, told), api.post(path, told)
    other = api.post(path, {**told, "payload": {"amount": 2}})
    nameless = api.post(path, {"payload": 1})

    assert [first.status_code, again.status_code] == [202, 202]
    assert first.json() == again.json() == {"id": "s1"}
    assert (other.status_code, other.json()["code"]) == (409, "signal_refused")
    assert nameless.status_code == 422
    events = api.get(f"/api/v1/runs/{run_id}/events").json()["results"]
    assert [event["type"] for event in events].count("signal.received") == 1


def test_children_are_listed_by_their_parent(api: Api) -> None:
    parent, child, _ = (a_run(api)["id"] for _ in range(3))
    with tenancy.scope(api.tenant):
        Run.objects.filter(pk=child).update(parent_id=parent)

    listed = api.get(f"/api/v1/runs?parent={parent}").json()["results"]

    assert [(run["id"], run["parent_id"]) for run in listed] == [(child, parent)]
    assert api.get(f"/api/v1/runs/{child}").json()["parent_id"] == parent
    assert api.get(f"/api/v1/runs/{parent}").json()["parent_id"] is None
    assert api.get("/api/v1/runs?parent=nobody").status_code == 422
