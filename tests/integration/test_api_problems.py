from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings
from django.db import OperationalError
from django.test import override_settings

from agentops import problem_kinds, problems
from policy import tenancy
from policy.models import ApiKey
from policy.operations.revoke_key import revoke_key
from tests.http import Api, a_client, an_agent

FIELDS = {
    "type",
    "title",
    "status",
    "code",
    "detail",
    "request_id",
    "errors",
    "retryable",
    "retry_after_ms",
}


def is_problem(answer: Any, status: int, code: str) -> bool:
    body = answer.json()
    assert (answer.status_code, body["code"]) == (status, code), body
    assert answer["Content-Type"] == "application/problem+json"
    assert set(body) == FIELDS
    assert body["status"] == status
    assert body["request_id"] == answer["X-Request-Id"]
    return True


@pytest.fixture
def api(tenant: UUID) -> Api:
    an_agent(tenant)
    return Api(tenant)


BODIES = [
    (b"", 422, "invalid_request"),
    (b"{", 400, "malformed_json"),
    (b"\xff\xfe{}", 400, "malformed_json"),
    (b'"\\', 400, "malformed_json"),
    (b"NaN", 400, "malformed_json"),
    (b'{"agent":"helper","input":-Infinity}', 400, "malformed_json"),
    (b'{"agent":"helper","agent":"other"}', 422, "unusable_json"),
    (b'{"agent":"helper","input":"\\u0000"}', 422, "unusable_json"),
    (b'{"agent":"helper","input":{"\\ud800":1}}', 422, "unusable_json"),
    (b'{"agent":"helper","input":1e999}', 422, "unusable_json"),
    (b'{"agent":"helper","input":' + b"9" * 5000 + b"}", 422, "unusable_json"),
    (b"[" * 100_000, 422, "unusable_json"),
    (b'{"a":' * 100_000, 422, "unusable_json"),
    (b"[]", 422, "invalid_request"),
    (b"null", 422, "invalid_request"),
    (b'{"agent":"helper"}', 422, "invalid_request"),
    (b'{"agent":["helper"],"input":1}', 422, "invalid_request"),
    (b'{"agent":"","input":1}', 422, "invalid_request"),
    (b" " * 2_000_000, 413, "body_too_large"),
]


@pytest.mark.parametrize(
    ("body", "status", "code"), BODIES, ids=[str(n) for n in range(len(BODIES))]
)
def test_a_bad_body_is_a_clear_problem(api: Api, body: bytes, status: int, code: str) -> None:
    assert is_problem(api.post("/api/v1/runs", body), status, code)


def test_the_parser_takes_time_in_proportion_to_the_body(api: Api) -> None:
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    body = (b"[" * 65 + b'"' + b'\\"' * limit)[:limit]

    assert is_problem(api.post("/api/v1/runs", body), 422, "unusable_json")


def test_errors_of_the_framework_are_problems_too(api: Api) -> None:
    strange = {"Content-Type": "text/plain"}
    put = api.client.put("/api/v1/runs", headers={"Authorization": f"Bearer {api.key}"})

    assert is_problem(api.get("/api/v1/nothing"), 404, "not_found")
    assert is_problem(api.get("/api/v1/runs/not-a-uuid"), 404, "not_found")
    assert is_problem(api.get("/api/v1/runs/"), 404, "not_found")
    assert is_problem(api.post("/api/v1/nothing/"), 404, "not_found")
    assert is_problem(api.post("/api/v1/runs", b"{}", **strange), 415, "unsupported_media_type")
    assert is_problem(api.get("/api/v1/runs", Accept="text/html"), 406, "not_acceptable")
    assert is_problem(put, 405, "method_not_allowed")
    assert put["Allow"]


@override_settings(DEBUG=False)
def test_without_debug_errors_stay_problems() -> None:
    client = a_client()

    assert is_problem(client.get("/api/nothing"), 404, "not_found")
    assert client.get("/nothing")["Content-Type"].startswith("text/html")


def test_a_wrong_host_is_a_clear_refusal() -> None:
    with override_settings(DEBUG=False):
        answer = a_client().get("/api/v1/health", headers={"Host": "evil.example"})

    assert is_problem(answer, 400, "bad_request")


@pytest.mark.usefixtures("migrated")
@pytest.mark.parametrize(
    "header",
    [
        "",
        "Basic YTpi",
        "Bearer",
        "Bearer ao_test_short",
        "Bearer ao_live_" + "A" * 38,
        "Bearer \u00e9",
        "Bearer " + "x" * 10_000,
    ],
)
def test_a_wrong_key_is_401_with_a_challenge(header: str) -> None:
    answer = a_client().get("/api/v1/runs", headers={"Authorization": header} if header else {})

    assert is_problem(answer, 401, "invalid_key" if header else "unauthenticated")
    assert answer["WWW-Authenticate"].startswith("Bearer")


def test_a_revoked_key_ends_at_once(api: Api, tenant: UUID) -> None:
    from django.utils import timezone

    assert api.get("/api/v1/runs").status_code == 200
    with tenancy.scope(tenant):
        revoke_key(ApiKey.objects.get(principal_id=api.principal).id, now=timezone.now())

    answer = api.get("/api/v1/runs")

    assert is_problem(answer, 401, "invalid_key")
    assert "revoked" in answer.json()["detail"]


def test_a_mistyped_key_is_known_without_the_database(tenant: UUID) -> None:
    from policy.core.keys import is_well_formed

    key = Api(tenant).key
    changed = key[:-10] + ("a" if key[-10] != "a" else "b") + key[-9:]

    assert is_well_formed(key)
    assert not is_well_formed(changed)


def test_a_database_that_is_gone_is_503_and_may_be_tried_again() -> None:
    request: Any = SimpleNamespace(path="/api/v1/runs", request_id="r-1")

    answer = problems.handle(OperationalError("could not connect"), {"request": request})

    assert answer.status_code == 503
    assert answer.data["retryable"] is True
    assert answer["Retry-After"] == "1"
    assert "could not connect" not in str(answer.data)


def test_what_nobody_foresaw_is_500_and_gives_nothing_away() -> None:
    request: Any = SimpleNamespace(path="/api/v1/runs", request_id="r-1")

    answer = problems.handle(RuntimeError("password=hunter2"), {"request": request})

    assert answer.status_code == 500
    assert "hunter2" not in str(answer.data)


@pytest.mark.parametrize("code", sorted(problem_kinds.KINDS))
def test_the_type_of_every_problem_is_a_page(code: str) -> None:
    answer = a_client().get(f"/api/problems/{code}")

    assert answer.status_code == 200
    assert problem_kinds.KINDS[code].title in answer.content.decode().replace("&#x27;", "'")


def test_one_code_means_one_status() -> None:
    statuses: dict[str, set[int]] = {}
    for kind in problem_kinds.TABLE.values():
        statuses.setdefault(kind.code, set()).add(kind.status)

    assert {code: found for code, found in statuses.items() if len(found) > 1} == {}


@pytest.mark.usefixtures("migrated")
def test_health_needs_no_key() -> None:
    assert a_client().get("/api/v1/health").json() == {"status": "alive"}
    ready = a_client().get("/api/v1/health/ready")
    assert ready.status_code == 200, ready.content
    assert ready.json()["checks"] == {"database": "ok", "redis": "ok", "migrations": "ok"}
