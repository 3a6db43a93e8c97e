from __future__ import annotations

import threading
from datetime import timedelta
from uuid import UUID

import pytest
from django.db import connection
from django.utils import timezone

from policy import tenancy
from policy.api import idempotency
from policy.models import IdempotentAnswer
from runs.models import Run
from tests.http import Api, an_agent

BODY = {"agent": "helper", "input": {"request": "once"}}


@pytest.fixture
def api(tenant: UUID) -> Api:
    an_agent(tenant)
    return Api(tenant)


def count_of_runs(tenant: UUID) -> int:
    with tenancy.scope(tenant):
        return Run.objects.count()


def test_without_a_key_nothing_is_started(api: Api, tenant: UUID) -> None:
    answer = api.post("/api/v1/runs", BODY, key=None)

    assert (answer.status_code, answer.json()["code"]) == (400, "key_missing")
    assert count_of_runs(tenant) == 0


@pytest.mark.parametrize("key", [" ", "a b", "\u00e9", "x" * 256])
def test_a_key_that_cannot_be_used_is_refused(api: Api, key: str) -> None:
    answer = api.post("/api/v1/runs", BODY, key=key)

    assert (answer.status_code, answer.json()["code"]) == (400, "key_malformed")


def test_the_same_request_again_gives_the_same_answer(api: Api, tenant: UUID) -> None:
    first = api.post("/api/v1/runs", BODY, key="k")
    again = api.post("/api/v1/runs", b' {"input": {"request":"once"}, "agent":"helper"}', key="k")

    assert again.status_code == first.status_code
    assert again.json() == first.json()
    assert again["Location"] == first["Location"]
    assert again["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first
    assert count_of_runs(tenant) == 1


def test_another_body_with_the_same_key_is_refused(api: Api, tenant: UUID) -> None:
    api.post("/api/v1/runs", BODY, key="k")
    answer = api.post("/api/v1/runs", {**BODY, "input": 2}, key="k")

    assert (answer.status_code, answer.json()["code"]) == (422, "key_reused")
    assert count_of_runs(tenant) == 1


def test_what_failed_may_be_tried_again_with_its_key(api: Api) -> None:
    assert api.post("/api/v1/runs", {**BODY, "agent": "nobody"}, key="k").status_code == 404
    assert api.post("/api/v1/runs", BODY, key="k").status_code == 202


def test_a_key_says_nothing_in_another_tenant(api: Api, other_tenant: UUID) -> None:
    an_agent(other_tenant)
    ours = api.post("/api/v1/runs", BODY, key="k").json()["id"]
    theirs = Api(other_tenant).post("/api/v1/runs", BODY, key="k")

    assert theirs.status_code == 202
    assert theirs.json()["id"] != ours


def test_a_key_is_forgotten_after_a_day(api: Api, tenant: UUID) -> None:
    first = api.post("/api/v1/runs", BODY, key="k").json()["id"]
    with tenancy.scope(tenant):
        IdempotentAnswer.objects.update(created_at=timezone.now() - timedelta(hours=25))

    assert api.post("/api/v1/runs", BODY, key="k").json()["id"] != first


def test_a_request_that_still_runs_is_not_begun_a_second_time(api: Api, tenant: UUID) -> None:
    locked, done = threading.Event(), threading.Event()

    def first_request_under_way() -> None:
        with tenancy.scope(tenant):
            idempotency._lock(str(tenant), "runs.start", "k")
            locked.set()
            done.wait(10)
        connection.close()

    thread = threading.Thread(target=first_request_under_way)
    thread.start()
    locked.wait(10)
    answer = api.post("/api/v1/runs", BODY, key="k")
    done.set()
    thread.join()

    assert (answer.status_code, answer.json()["code"]) == (409, "key_in_use")
    assert answer.json()["retryable"] is True
    assert api.post("/api/v1/runs", BODY, key="k").status_code == 202


def test_many_at_once_start_one_run(api: Api, tenant: UUID) -> None:
    statuses: list[int] = []
    gate = threading.Barrier(8)

    def go() -> None:
        gate.wait()
        statuses.append(api.post("/api/v1/runs", BODY, key="k").status_code)
        connection.close()

    threads = [threading.Thread(target=go) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert set(statuses) <= {202, 409}
    assert 202 in statuses
    assert count_of_runs(tenant) == 1
