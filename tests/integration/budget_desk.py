"""Budgets over HTTP, as their tests ask for them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from policy import tenancy
from policy.models import Budget, Tenant
from tests.http import Api

BUDGETS = "/api/v1/budgets"


def make(api: Api, **change: Any) -> Any:
    body = {
        "scope": "tenant",
        "scope_id": str(api.tenant),
        "period": "month",
        "limits": {"cost": "100"},
        "soft": {"cost": "80", "tool_calls": 5},
        **change,
    }
    return api.post(BUDGETS, body)


def of_a_thread(api: Api) -> Budget:
    made = make(api, scope="thread", scope_id=str(uuid7()))
    with tenancy.scope(api.tenant):
        return Budget.objects.get(pk=made.json()["id"])


def needs_two(tenant: UUID, alone: int = 5) -> None:
    with tenancy.scope(tenant):
        Tenant.objects.filter(pk=tenant).update(raise_alone_up_to=alone)


def propose(api: Api, budget: Any, **change: Any) -> Any:
    body = {"unit": "cost", "amount": "6", "reason": "a busy week", **change}
    return api.post(f"{BUDGETS}/{budget.id}/raise", body)
