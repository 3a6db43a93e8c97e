"""How an agent is written.

    from runs.agents import agent, Context

    @agent("refunds", version="3", model="fast", tools=["crm.read", "payments.refund"])
    async def refunds(ctx: Context, request: RefundRequest) -> RefundReport: ...

One level below, `graph(...)` takes named nodes and channels. Importing this needs no
database and no settings.
"""

from policy.core.retry import RetryPolicy
from runs.agents.children import (
    ChildFailed,
    ChildLimits,
    Children,
    ChildrenFailed,
    ChildResult,
    Join,
    Quorum,
    SpawnRefused,
)
from runs.agents.context import Context, ModelFailed, SignalTimeout, SyncContext, ToolFailed
from runs.agents.program import Program
from runs.agents.registry import agent, code_agents, graph_agent
from runs.agents.typed import InvalidOutput, ask_for
from runs.core.channels import Channel, Reducer
from runs.core.files import File
from runs.core.graph import Node, Send, Step, graph
from runs.core.guards import LoopGuard
from runs.core.recorded.migrate import Migration
from runs.errors import ArtifactLost, ArtifactsAway, FilesFull, InvalidFile, UnknownFile

__all__ = [
    "ArtifactLost",
    "ArtifactsAway",
    "Channel",
    "ChildFailed",
    "ChildLimits",
    "ChildResult",
    "Children",
    "ChildrenFailed",
    "Context",
    "File",
    "FilesFull",
    "InvalidFile",
    "InvalidOutput",
    "Join",
    "LoopGuard",
    "Migration",
    "ModelFailed",
    "Node",
    "Program",
    "Quorum",
    "Reducer",
    "RetryPolicy",
    "Send",
    "SignalTimeout",
    "SpawnRefused",
    "Step",
    "SyncContext",
    "ToolFailed",
    "UnknownFile",
    "agent",
    "ask_for",
    "code_agents",
    "graph",
    "graph_agent",
]
