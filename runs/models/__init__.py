"""The rows of runs. Only `store`, `operations` and `queries` may name them."""

from runs.models.agents import Agent, AgentVersion
from runs.models.artifacts import Artifact, ArtifactUse
from runs.models.backtests import Backtest, BacktestState
from runs.models.migrations import RunMigration
from runs.models.runs import Checkpoint, Effect, OutboxMessage, Run, RunEvent, Task
from runs.models.signals import Signal

__all__ = [
    "Agent",
    "AgentVersion",
    "Artifact",
    "ArtifactUse",
    "Backtest",
    "BacktestState",
    "Checkpoint",
    "Effect",
    "OutboxMessage",
    "Run",
    "RunEvent",
    "RunMigration",
    "Signal",
    "Task",
]
