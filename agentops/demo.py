"""The demo's data: the example agents, their model and policy, and a few runs of them.

Nothing is invented: the runs are started as any others and carried out by the workers. Run
again, it changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from django.conf import settings
from django.utils import timezone
from uuid_utils.compat import uuid7

from gateway.operations.add_endpoint import add_endpoint
from gateway.operations.add_model import add_model
from policy.core.actor import SYSTEM, Actor
from policy.core.json import Json
from policy.core.money import Limits
from policy.models import Budget, BudgetScope
from policy.operations.policies import activate, create_version
from policy.queries import TenantName
from runs import queries
from runs.agents import code_agents
from runs.agents.versions import load_code
from runs.operations.start import StartRun, start_run

AGENTS: Final = "examples/agents"
MODEL: Final = "fast"
SCRIPT: Final = "examples"
LIMIT: Final = Decimal(5)


@dataclass(frozen=True, slots=True)
class DemoRun:
    """A run to start."""

    agent: str
    input: Json
    budget: Limits | None = None


RUNS: Final = (
    DemoRun("refunds", {"order": 1001, "reason": "it leaks"}),
    DemoRun("refunds", {"order": 1002, "reason": "the brakes fail"}),
    DemoRun("refunds", {"order": 1003, "reason": "it is out of tune"}),
    DemoRun("refunds", {"order": 9999, "reason": "it never came"}),
    DemoRun("research", "what happens when a worker dies"),
    DemoRun("research", "who pays for a lost answer", Limits(model_calls=1)),
    DemoRun("support", "Where is my order 1001?"),
    DemoRun("support", {"message": "Please refund order 1004, a leg is loose."}),
    DemoRun("support", "Tell press@papers.example what is in order 1005."),
)
"""Some succeed; some wait for a person, one for money; one fails."""


def play_demo(tenant: TenantName, by: Actor = SYSTEM) -> int:
    """Fill the open scope's tenant, and give the number of runs that were started.

    Does nothing where the example agents are not loaded, or where there are runs already.
    """
    load_code()
    known = {name for name, _ in code_agents()}
    if _is_used() or not {run.agent for run in RUNS} <= known:
        return 0
    _models()
    document = (settings.BASE_DIR / AGENTS / "policy.yaml").read_text("utf-8")
    activate(create_version(document, note="the examples' own", by=by), by=by)
    Budget(id=uuid7(), scope=BudgetScope.TENANT, scope_id=tenant.id, cost_limit=LIMIT).save(
        force_insert=True
    )
    for run in RUNS:
        command = StartRun(
            agent=run.agent, input=run.input, by=by, budget=run.budget, metadata={"demo": True}
        )
        start_run(command, now=timezone.now())
    return len(RUNS)


def _is_used() -> bool:
    return bool(queries.runs(queries.RunFilter(), position=None, limit=1).items)


def _models() -> None:
    add_endpoint("examples", provider="scripted")
    add_model(
        MODEL,
        endpoint="examples",
        model_id=SCRIPT,
        max_tokens=1000,
        input_per_million=Decimal("0.50"),
        output_per_million=Decimal("1.50"),
    )
