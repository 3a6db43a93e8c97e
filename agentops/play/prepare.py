"""Make inside the product what a play needs: the one module here that uses the product's code.

Run again, it finds what it made before and brings addresses up to date.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final
from uuid import UUID

from agentops.play.setup import AGENT, MODEL, SERVER, TENANT, Wanted
from gateway.operations.add_endpoint import add_endpoint
from gateway.operations.add_model import add_model
from policy import tenancy
from policy.models import Principal, Role, Tenant
from policy.operations.create_principal import create_principal
from policy.operations.create_tenant import create_tenant
from policy.operations.issue_key import issue_key
from policy.operations.policies import activate, create_version
from policy.queries import tenant_by_slug
from runs.agents.versions import add_react_version
from runs.models import AgentVersion
from tools.operations.declare import declare
from tools.operations.discover import discover
from tools.operations.register_server import register_server

PRICE_PER_MILLION: Final = Decimal("0.50")
ROLES: Final = (Role.OPERATOR, Role.REVIEWER)


class ToolsRefusedError(Exception):
    """The product does not take some tool of the workload."""


def prepare(wanted: Wanted) -> str:
    """Make tenant, tool server, model, policy, agent and API key; return the key.

    Raises:
        ToolsRefusedError: a tool cannot be used.
    """
    known = tenant_by_slug(TENANT)
    tenant_id = create_tenant(TENANT, "Play", policy=None) if known is None else known.id
    with tenancy.scope(tenant_id):
        _model(wanted)
        server_id = register_server(SERVER, wanted.tools_url, wanted.tools_key)
    found = discover(server_id, tenant_id=tenant_id, prefix="")
    if found.refused:
        raise ToolsRefusedError(str(dict(found.refused)))
    with tenancy.scope(tenant_id):
        for name, effect in wanted.tools.items():
            declare(name, effect=effect, risk="low", timeout=wanted.call_timeout)
        _rules(wanted, tenant_id)
        _agent(wanted)
        return wanted.api_key or _key()


def _model(wanted: Wanted) -> None:
    add_endpoint(
        MODEL,
        provider="openai",
        base_url=wanted.model_url,
        api_key=wanted.model_key,
        timeout=wanted.call_timeout,
    )
    add_model(
        MODEL,
        endpoint=MODEL,
        model_id=MODEL,
        input_per_million=PRICE_PER_MILLION,
        output_per_million=PRICE_PER_MILLION,
    )


def _rules(wanted: Wanted, tenant_id: UUID) -> None:
    if Tenant.objects.get(pk=tenant_id).policy_version_id is None:
        activate(create_version(wanted.policy(), note="for the play"))


def _agent(wanted: Wanted) -> None:
    if not AgentVersion.objects.filter(agent__name=AGENT).exists():
        add_react_version(AGENT, "1", wanted.agent())


def _key() -> str:
    known = Principal.objects.filter(name=AGENT, user=None).first()
    return issue_key(known.id if known else create_principal(AGENT, ROLES)).secret
