"""What tests of the API and the admin build: callers, agents, runs, approvals."""

from __future__ import annotations

import json
import secrets
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from uuid_utils.compat import uuid7

from gateway.models import ModelEndpoint
from policy import tenancy
from policy.core.actor import SYSTEM
from policy.core.json import digest
from policy.models import Approval, Budget, Notice, RaiseProposal, Role
from policy.operations.create_principal import create_principal
from policy.operations.issue_key import issue_key
from policy.operations.limits import SetLimit, add_limit
from policy.operations.policies import create_version
from policy.operations.subscriptions import SetSubscription, add_subscription
from runs.models import Agent, AgentVersion, Run
from runs.operations.backtest import Asked, start_backtest
from tools.models import RemoteTool, ToolServer


def a_client(*, checks_csrf: bool = False) -> Client:
    """A client of the web process, who gets answers and no exceptions."""
    return Client(
        SERVER_NAME="127.0.0.1", raise_request_exception=False, enforce_csrf_checks=checks_csrf
    )


class Api:
    """A caller with a key of its own; every POST gets a fresh Idempotency-Key unless given."""

    def __init__(self, tenant: UUID, *roles: str) -> None:
        self.tenant = tenant
        with tenancy.scope(tenant):
            self.principal = create_principal("a caller", roles or (Role.ADMIN,))
            self.key = issue_key(self.principal).secret
        self.client = a_client()

    def get(self, path: str, **headers: str) -> Any:
        return self.client.get(path, headers=self._headers(headers))

    def post(self, path: str, body: Any = None, *, key: str | None = "", **headers: str) -> Any:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if key is not None:
            given["Idempotency-Key"] = key or secrets.token_hex(8)
        raw = body if isinstance(body, bytes) else json.dumps({} if body is None else body)
        kind = given.pop("Content-Type", "application/json")
        return self.client.post(path, raw, content_type=kind, headers=self._headers(given))

    def put(self, path: str, body: Any, **headers: str) -> Any:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.put(
            path,
            json.dumps(body),
            content_type="application/json",
            headers=self._headers(given),
        )

    def delete(self, path: str, **headers: str) -> Any:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.delete(path, headers=self._headers(given))

    def _headers(self, more: dict[str, str]) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}", **more}


def an_agent(tenant: UUID, name: str = "helper") -> str:
    """An agent without code; nothing runs it here."""
    with tenancy.scope(tenant):
        agent = Agent.objects.create(id=uuid7(), name=name)
        AgentVersion.objects.create(
            id=uuid7(),
            agent=agent,
            version="1",
            kind="react",
            definition={"prompt": "Help.", "model": "fast", "tools": []},
        )
    return name


def a_run(api: Api, **body: Any) -> dict[str, Any]:
    """A run started over the API, of an agent called helper."""
    answer = api.post("/api/v1/runs", {"agent": "helper", "input": {"request": "hello"}, **body})
    assert answer.status_code == 202, answer.content
    started: dict[str, Any] = answer.json()
    return started


def an_approval(tenant: UUID, run_id: str, **fields: Any) -> Approval:
    """An open approval of a run that waits for it."""
    now = timezone.now()
    arguments = fields.pop("arguments", {"amount": 42})
    values = {
        "kind": "tool_call",
        "tool": "payments.refund",
        "expires_at": now + timedelta(hours=1),
        **fields,
    }
    with tenancy.scope(tenant):
        reason = "approval" if values["kind"] == "tool_call" else values["kind"]
        Run.objects.filter(pk=run_id).update(state="interrupted", reason=reason)
        return Approval.objects.create(
            id=uuid7(),
            run_id=run_id,
            effect_key=f"{run_id}/0/act/{secrets.token_hex(3)}",
            agent="helper",
            tool_version="1",
            arguments=arguments,
            digest=digest(values["tool"], "1", arguments),
            created_at=now,
            **values,
        )


def a_budget(tenant: UUID) -> Budget:
    """The tenant's own budget, of ten dollars."""
    with tenancy.scope(tenant):
        return Budget.objects.create(id=uuid7(), scope="tenant", scope_id=tenant, cost_limit=10)


def a_proposal(tenant: UUID) -> dict[str, str]:
    """A raise of its budget that waits for a second person, by the names in addresses."""
    budget = a_budget(tenant)
    with tenancy.scope(tenant):
        proposal = RaiseProposal.objects.create(
            id=uuid7(),
            budget=budget,
            unit="cost",
            amount=1,
            kind="permanent",
            reason="theirs",
            proposed_by="ann",
            proposed_by_id="ann",
        )
    return {"budget_id": str(budget.id), "proposal_id": str(proposal.id)}


def a_backtest(tenant: UUID) -> dict[str, str]:
    """A draft of a policy and a backtest of it, by the names that addresses give their ids."""
    with tenancy.scope(tenant):
        policy = create_version({"rules": []})
        backtest = start_backtest(policy, Asked(runs=1), by=SYSTEM, send=lambda *_: None)
    return {"policy_id": str(policy), "backtest_id": str(backtest)}


def a_limit(tenant: UUID) -> UUID:
    """A rate limit."""
    with tenancy.scope(tenant):
        return add_limit(SetLimit(name="a limit", unit="calls", amount=9, seconds=60), by=SYSTEM)


def a_notice(tenant: UUID, run_id: str) -> dict[str, str]:
    """A subscription and a notice of it, by the names that addresses give their ids."""
    wanted = SetSubscription(name="theirs", channel="webhook", url="https://hooks.example/in")
    with tenancy.scope(tenant):
        made = add_subscription(wanted, by=SYSTEM)
        told = Notice.objects.create(
            id=uuid7(),
            subscription_id=made.id,
            event="approval.requested",
            approval_id=uuid7(),
            run_id=run_id,
            body={"type": "approval.requested", "data": {"tool": "payments.refund"}},
            state="sent",
        )
    return {"subscription_id": str(made.id), "notice_id": str(told.id)}


def an_endpoint(tenant: UUID) -> UUID:
    """A model endpoint, and so a breaker."""
    with tenancy.scope(tenant):
        return ModelEndpoint.objects.create(id=uuid7(), name="theirs", provider="scripted").id


def a_remote_tool(tenant: UUID) -> UUID:
    """A tool of a server."""
    with tenancy.scope(tenant):
        server = ToolServer.objects.create(id=uuid7(), name="crm", url="http://127.0.0.1:1/mcp")
        return RemoteTool.objects.create(
            id=uuid7(),
            server=server,
            name="crm.find",
            remote_name="find",
            version="1",
            input_schema={"type": "object"},
        ).id


def a_person(tenant: UUID, *roles: str, superuser: bool = False) -> User:
    """Somebody who signs in to the admin."""
    user = User.objects.create(
        username=f"u-{secrets.token_hex(6)}", is_staff=True, is_superuser=superuser
    )
    if roles:
        with tenancy.scope(tenant):
            create_principal(user.username, roles, user_id=user.pk)
    return user


def signed_in(user: User, tenant: UUID, *, checks_csrf: bool = False) -> Client:
    """A browser of that person, at work in the tenant."""
    client = a_client(checks_csrf=checks_csrf)
    client.force_login(user)
    session = client.session
    session["agentops_tenant"] = str(tenant)
    session.save()
    return client
