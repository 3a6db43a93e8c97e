"""The rows of runs. Only `store`, `operations` and `queries` may name them."""

from runs.models.agents import Agent, AgentVersion
from runs.models.runs import Checkpoint, Effect, OutboxMessage, Run, RunEvent, Task
from runs.models.signals import Signal

__all__ = [
    "Agent",
    "AgentVersion",
    "Checkpoint",
    "Effect",
    "OutboxMessage",
    "Run",
    "RunEvent",
    "Signal",
    "Task",
]
