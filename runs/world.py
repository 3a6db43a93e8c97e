"""What the engine needs of everything that is not a run: agents, policies, tools, models.

`runs.live` answers from the database and reaches the real world; `runs.testing` answers
from memory.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Protocol

from gateway.core.messages import ModelRequest
from gateway.core.route import Quote
from policy.calibration import Evidence
from policy.core.gate import Barred, Cleared, Outgoing
from policy.core.outcomes import Outcome
from policy.core.rules.decide import Policy
from policy.enforce import Permit
from policy.provenance.answers import Rules
from runs.agents.program import Program
from runs.ports import Claimed
from tools.core.finding import Found
from tools.core.spec import ToolCall, ToolSpec


class World(Protocol):
    """Everything around a run. Plain methods may read the database and are called off the loop."""

    def program(self, claimed: Claimed) -> Program:
        """Give the program of the run's agent version.

        Raises:
            UnknownAgent: this code cannot run that version.
        """
        ...

    def policy(self, claimed: Claimed) -> Policy:
        """Give the tenant's policy as it was when the run was claimed."""
        ...

    def evidence(self, claimed: Claimed, tool: str) -> Evidence:
        """Give what triggers compare a call with; asked only where a rule declares triggers."""
        ...

    def tool(self, tenant_id: str, name: str) -> ToolSpec:
        """Find a tool.

        Raises:
            UnknownTool: there is none of that name.
        """
        ...

    def tools(self, tenant_id: str, granted: Sequence[str]) -> list[ToolSpec]:
        """Find the tools that match any of the granted patterns, by name."""
        ...

    def agent(self, tenant_id: str, name: str, version: str | None) -> tuple[str, Program]:
        """Find the agent version that a child is to be pinned to: its id, and its program.

        Raises:
            UnknownAgent: there is no such agent or version.
        """
        ...

    def quote(self, tenant_id: str, request: ModelRequest) -> tuple[Quote, Any]:
        """Price a question at its worst, and give the credential to ask it with.

        Raises:
            UnknownModel: the tenant has no such model.
        """
        ...

    def cleared(self, outgoing: Outgoing) -> Cleared | None:
        """Let a call through the gate if that can be said without waiting; else None."""
        ...

    def clear(self, outgoing: Outgoing) -> Cleared | Barred:
        """Let a call through the gate, or say how long it has to wait (`policy.gates`)."""
        ...

    def is_back(self, cleared: Cleared, outcome: Outcome | None) -> bool:
        """Learn what became of a call if that needs no waiting; else False: call `back`."""
        ...

    def back(self, cleared: Cleared, outcome: Outcome | None) -> None:
        """Learn what became of a call; None where it was not sent, or cut."""
        ...

    def answer_rules(self, claimed: Claimed) -> Rules:
        """Give what may not leave with an answer of the tenant's, and what is done with it."""
        ...

    def foreign(self, tenant_id: str, ids: Collection[str]) -> set[str]:
        """Name those of these ids that are of another tenant's things."""
        ...

    def keep(self, tenant_id: str, data: bytes) -> str:
        """Keep bytes for a tenant and give their digest; raises as `runs.artifacts`."""
        ...

    def kept(self, tenant_id: str, digest: str) -> bytes:
        """Give a tenant's bytes of a digest; raises as `runs.artifacts`."""
        ...

    async def invoke(self, call: ToolCall, *, permit: Permit, now: datetime) -> Outcome:
        """Make a tool call."""
        ...

    async def find_out(self, call: ToolCall, *, now: datetime) -> Found:
        """Ask a tool's reconcile hook what became of a call; it only reads."""
        ...

    async def complete(
        self, request: ModelRequest, quote: Quote, credential: Any, *, key: str, timeout: float
    ) -> Outcome:
        """Ask a model; `timeout` is in seconds."""
        ...
