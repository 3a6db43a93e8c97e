"""What comes next for a run: a pure look at its checkpoint and at what was kept of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from policy.core.json import Json
from policy.core.outcomes import ErrorClass
from runs.core.checkpoint import Checkpoint, TaskSpec
from runs.core.graph import INPUT, Graph
from runs.core.guards import why_stop
from runs.core.results import TaskResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Execute:
    """These tasks of the super-step have no result worth keeping yet; run them."""

    tasks: tuple[TaskSpec, ...]


@dataclass(frozen=True, slots=True)
class Reconcile:
    """Every task has its result; nothing is left to run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """The run cannot go on; `asks` where a person may say that it does."""

    error_class: ErrorClass
    detail: str
    asks: bool = False


Plan = Execute | Reconcile | Stop


def first_checkpoint(graph: Graph, run_input: Json) -> Checkpoint:
    """Give the checkpoint that a run starts from: its input, and the graph's start nodes."""
    return Checkpoint(
        super_step=0,
        channels={INPUT: run_input},
        written={INPUT: 0},
        tasks=tuple(TaskSpec(id=name, node=name) for name in graph.start),
    )


def plan(
    graph: Graph, checkpoint: Checkpoint, kept: Mapping[str, TaskResult], *, leave: bool = False
) -> Plan:
    """Decide what to do about the next super-step.

    `kept` are the results its tasks already have (pending writes); only the others run.
    `leave` says that a person let it go on although it seems to lead nowhere.
    """
    why = why_stop(graph.guard, checkpoint.watch, checkpoint.super_step, graph.max_super_steps)
    if why is not None and not leave:
        asks = graph.guard.on_loop == "ask"
        return Stop(error_class=ErrorClass.HUMAN_REQUIRED, detail=why, asks=asks)
    if gone := sorted({task.node for task in checkpoint.tasks} - graph.nodes.keys()):
        return Stop(
            error_class=ErrorClass.NONDETERMINISM,
            detail=f"this agent version has no node {gone[0]!r} any more",
        )
    open_tasks = tuple(task for task in checkpoint.tasks if task.id not in kept)
    return Execute(tasks=open_tasks) if open_tasks else Reconcile()
