"""What an agent is to the engine: named nodes over named channels.

Building a graph knows nothing of running it: a `Graph` is a value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from policy.core.json import Json, digest
from policy.core.retry import RetryPolicy
from runs.core.channels import Channel, Reducer
from runs.core.files import FILE_CHANNEL, FILES
from runs.core.guards import LoopGuard
from runs.errors import InvalidGraph

INPUT = "input"
OUTPUT = "output"
MOST_TASKS: Final = 10_000
NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,100}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A named step. `run` is called by the shell with a context; the core never calls it.

    The node is eligible when another node names it in `then`, when a task asks for it
    by `Step.next`, or when a channel in `subscribes` was written in the super-step before.
    `max_effects` bounds what one task of it may ask for, and so what a replay goes through.
    `timeout` bounds the time a coroutine may take by itself, while nothing it asked for is
    under way; a plain function cannot be stopped.
    """

    name: str
    run: Callable[..., Any]
    then: tuple[str, ...] = ()
    subscribes: frozenset[str] = frozenset()
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    max_effects: int = 200
    timeout: timedelta = timedelta(minutes=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """Ask for one more task of a node, with an argument of its own: dynamic fan-out."""

    node: str
    arg: Json = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What a node returns when writes alone do not say it all.

    `next` replaces the node's `then` for this task; an empty tuple ends this branch.
    """

    writes: Mapping[str, Json] = field(default_factory=dict)
    next: tuple[str | Send, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """Nodes, channels, and where to start. `max_super_steps` bounds every run of it.

    No super-step has more than `max_tasks`. `guard` says what a loop is
    besides, and whether a person is asked about one.
    """

    nodes: Mapping[str, Node]
    channels: Mapping[str, Channel]
    start: tuple[str, ...]
    max_super_steps: int = 100
    max_tasks: int = 1_000
    guard: LoopGuard = field(default_factory=LoopGuard)

    def channel(self, name: str) -> Channel:
        """Give a channel by name; every graph has that of its files.

        Raises:
            InvalidGraph: there is none; the message lists those there are.
        """
        if name == FILES:
            return FILE_CHANNEL
        if name not in self.channels:
            raise InvalidGraph(f"no channel {name!r}; there are {sorted(self.channels)}")
        return self.channels[name]

    def shape(self) -> Json:
        """Describe everything that a sleeping run relies on."""
        return {
            "nodes": {
                node.name: {"then": list(node.then), "subscribes": sorted(node.subscribes)}
                for node in self.nodes.values()
            },
            "channels": {name: channel.reducer.value for name, channel in self.channels.items()},
            "start": list(self.start),
        }

    def digest(self) -> str:
        """Name the shape; code that changed it under the same version is noticed by this."""
        return digest(self.shape())


def graph(
    *nodes: Node,
    start: str | tuple[str, ...],
    channels: Mapping[str, Channel] | None = None,
    max_super_steps: int = 100,
    max_tasks: int = 1_000,
    guard: LoopGuard | None = None,
) -> Graph:
    """Build a graph; `input` and `output` are channels of every graph, and `files` is its own.

    Raises:
        InvalidGraph: names do not match up, or a bound makes no sense.
    """
    start = (start,) if isinstance(start, str) else tuple(start)
    every = {
        INPUT: Channel(),
        OUTPUT: Channel(reducer=Reducer.LAST),
        **(channels or {}),
    }
    if FILES in every:
        raise InvalidGraph(f"{FILES!r} is the channel of a run's files: choose another name")
    by_name = _named(nodes)
    for name in (*start, *(then for node in nodes for then in node.then)):
        if name not in by_name:
            raise InvalidGraph(f"no node {name!r}; there are {sorted(by_name)}")
    for node in nodes:
        if missing := node.subscribes - every.keys() - {FILES}:
            raise InvalidGraph(f"node {node.name!r} subscribes to unknown {sorted(missing)}")
    if not start or max_super_steps < 1:
        raise InvalidGraph("a graph needs a start node and max_super_steps of at least 1")
    if not len(start) <= max_tasks <= MOST_TASKS:
        raise InvalidGraph(f"max_tasks is from {len(start)}, the start nodes, to {MOST_TASKS}")
    return Graph(
        nodes=by_name,
        channels=every,
        start=start,
        max_super_steps=max_super_steps,
        max_tasks=max_tasks,
        guard=guard or LoopGuard(),
    )


def _named(nodes: Sequence[Node]) -> dict[str, Node]:
    by_name = {node.name: node for node in nodes}
    if len(by_name) != len(nodes):
        raise InvalidGraph("two nodes have the same name")
    if unusable := [name for name in by_name if NAME.fullmatch(name) is None]:
        raise InvalidGraph(f"{unusable[0]!r} cannot name a node: 1 to 100 letters, digits, _ and -")
    return by_name
