"""Every endpoint of the URL map with another tenant's ids; a new one is covered on its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.urls import URLPattern
from django.utils import timezone

from agentops.urls import API
from policy import tenancy
from policy.models import Approval, AuditEvent, Budget, BudgetRaise, IdempotentAnswer
from runs.models import Agent, Run, RunMigration
from tests.http import (
    Api,
    a_backtest,
    a_client,
    a_limit,
    a_notice,
    a_proposal,
    a_remote_tool,
    a_run,
    an_agent,
    an_approval,
    an_endpoint,
)
from tools.models import RemoteTool

A_LIMIT: dict[str, Any] = {"name": "mine", "unit": "calls", "amount": 1, "seconds": 1}
A_BUDGET: dict[str, Any] = {"limits": {"cost": "5"}}
A_REVIEWER: dict[str, Any] = {"groups": ["mine"], "decides_up_to": "low"}
A_SUBSCRIPTION: dict[str, Any] = {
    "name": "mine",
    "channel": "webhook",
    "url": "https://a.example/in",
}
BODIES: dict[str, dict[str, Any]] = {
    "signals": {"name": "paid"},
    "decide": {"decision": "approve", "digest": "0" * 64},
    "claim": {},
    "release": {},
    "comments": {"text": "mine"},
    "raise": {"unit": "cost", "amount": "1", "reason": "mine"},
    "lift": {"reason": "mine"},
    "cancel": {"reason": "mine"},
    "rewind": {"super_step": 0},
    "fork": {"super_step": 0},
    "policies": {"document": {"rules": []}},
    "backtest": {"runs": 1},
    "explain": {"effect": "0/0/a/0"},
    "compensate": {"since": 0},
    "hold": {"position": "open", "reason": "mine"},
    "limits": A_LIMIT,
    "approve": {"approvals": []},
    "migrations": {"agent": "helper", "from": "1", "to": "2"},
    "subscriptions": A_SUBSCRIPTION,
}
OPEN = {"health", "health/ready"}


def a_migration(tenant: UUID, run_id: str) -> UUID:
    with tenancy.scope(tenant):
        version = Run.objects.get(pk=run_id).agent_version_id
        row = RunMigration(
            id=uuid4(),
            tenant_id=tenant,
            run_id=run_id,
            migration=uuid4(),
            from_version_id=version,
            to_version_id=version,
            super_step=0,
            appended=False,
            fencing_token=0,
            by="system:test",
            at=timezone.now(),
        )
        row.save(force_insert=True)
        return row.migration


class Foreign:
    """What another tenant has, and the ids by the names that addresses give them."""

    def __init__(self, tenant: UUID) -> None:
        self.tenant = tenant
        an_agent(tenant, "helper")
        an_agent(tenant, "very-secret-agent")
        api = Api(tenant)
        run = a_run(api, metadata={"secret": "theirs"})
        self.ids = {
            "run_id": run["id"],
            "approval_id": str(an_approval(tenant, run["id"]).id),
            **a_proposal(tenant),
            **a_backtest(tenant),
            "limit_id": str(a_limit(tenant)),
            "tool_id": str(a_remote_tool(tenant)),
            "migration_id": str(a_migration(tenant, run["id"])),
            **a_notice(tenant, run["id"]),
            "principal_id": str(api.principal),
            "file": "very-secret/report.md",
            "kind": "endpoint",
            "name": str(an_endpoint(tenant)),
        }
        self.key = api.key

    def rows(self) -> list[Any]:
        policy = (Approval, Budget, BudgetRaise, AuditEvent, IdempotentAnswer)
        models = (Run, Agent, RemoteTool, *policy)
        with tenancy.scope(self.tenant):
            return [sorted(map(str, model.objects.values_list())) for model in models]


@pytest.fixture
def foreign(other_tenant: UUID) -> Foreign:
    return Foreign(other_tenant)


def endpoints() -> Iterator[tuple[str, list[str], list[str]]]:
    for pattern in API:
        assert isinstance(pattern, URLPattern), "walk nested maps too"
        view = pattern.callback.view_class  # type: ignore[attr-defined]
        methods = [
            name for name in ("get", "post", "put", "patch", "delete") if hasattr(view, name)
        ]
        yield str(pattern.pattern), methods, sorted(pattern.pattern.converters)


ENDPOINTS = list(endpoints())


def address(route: str, ids: dict[str, str]) -> str:
    for name, identity in ids.items():
        for kind in ("uuid", "str", "path"):
            route = route.replace(f"<{kind}:{name}>", identity)
    assert "<" not in route, f"teach Foreign the id in {route}"
    return f"/api/v1/{route}"


def call(api: Api, method: str, path: str) -> Any:
    if method == "get":
        return api.get(path)
    if method == "put":
        bodies = {
            "budgets": A_BUDGET,
            "limits": A_LIMIT,
            "principals": A_REVIEWER,
            "subscriptions": A_SUBSCRIPTION,
            "tools": {"price": "1"},
        }
        body = bodies.get(path.split("/")[3], {"document": {"rules": []}})
        return api.put(path, body, If_Match='"1"')
    if method == "delete":
        return api.delete(path, If_Match='"1"')
    assert method == "post", "teach this test the new method"
    return api.post(path, BODIES.get(path.rsplit("/", 1)[-1], {}), If_Match='"1"')


@pytest.mark.parametrize(("route", "methods", "names"), ENDPOINTS, ids=[e[0] for e in ENDPOINTS])
def test_another_tenants_things_are_not_found(
    tenant: UUID, foreign: Foreign, route: str, methods: list[str], names: list[str]
) -> None:
    an_agent(tenant)
    api, before = Api(tenant), foreign.rows()

    for method in methods:
        answer = call(api, method, address(route, foreign.ids))
        if names:
            assert answer.status_code == 404, (method, answer.content)
        text = answer.content.decode()
        assert not [word for word in ("very-secret", "theirs") if word in text]
        assert not [i for i in foreign.ids.values() if i in text and not names]

    assert foreign.rows() == before


@pytest.mark.parametrize(
    ("route", "methods"), [e[:2] for e in ENDPOINTS], ids=[e[0] for e in ENDPOINTS]
)
def test_without_a_key_nothing_answers(foreign: Foreign, route: str, methods: list[str]) -> None:
    for method in methods:
        answer = a_client().generic(method.upper(), address(route, foreign.ids))
        assert answer.status_code == (200 if route in OPEN else 401)


@pytest.mark.usefixtures("foreign")
@pytest.mark.parametrize(
    "asked", ["runs", "runs?metadata.secret=theirs", "approvals", "budgets", "agents", "tools"]
)
def test_lists_hold_the_callers_own_only(tenant: UUID, asked: str) -> None:
    answer = Api(tenant).get(f"/api/v1/{asked}")

    assert answer.json()["results"] == []


def test_another_tenants_run_is_no_filter_and_no_cursor(tenant: UUID, foreign: Foreign) -> None:
    theirs = Api(foreign.tenant)
    for _ in range(2):
        a_run(theirs)
    cursor = theirs.get("/api/v1/runs?limit=1").json()["next"]
    ours = Api(tenant)

    assert ours.get(f"/api/v1/approvals?run={foreign.ids['run_id']}").json()["results"] == []
    assert ours.get(f"/api/v1/runs?cursor={cursor}").json()["results"] == []


@pytest.mark.usefixtures("foreign")
def test_another_tenants_agent_is_unknown(tenant: UUID) -> None:
    answer = Api(tenant).post("/api/v1/runs", {"agent": "very-secret-agent", "input": {}})

    assert answer.status_code == 404
    assert answer.json()["code"] == "unknown_agent"
