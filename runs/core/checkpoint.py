"""A run's whole state after a super-step. Never edited, only succeeded.

Stored as a head (what was written when, how long logs are, what runs next) and the
writes of that super-step. A channel's value is found in the checkpoint that wrote it
last, so loading costs the same after 5 and after 5,000 super-steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from policy.core.json import Json, JsonObject
from runs.core.channels import Log
from runs.core.guards import NOTHING, Watch
from runs.errors import UnknownVersion


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSpec:
    """One task of the next super-step. Its id is its node, numbered where there are several."""

    id: str
    node: str
    arg: Json = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Channels, when each was last written, and the tasks that come next.

    `skipped` are the checkpoints that a rewind left behind, as ranges with both ends: what
    they appended to logs is no part of this state.
    """

    VERSION: ClassVar[int] = 2
    super_step: int
    channels: Mapping[str, Any]
    written: Mapping[str, int]
    tasks: tuple[TaskSpec, ...]
    skipped: tuple[tuple[int, int], ...] = ()
    watch: Watch = NOTHING


def encode(checkpoint: Checkpoint) -> JsonObject:
    """Give the head: everything but the values.

    In the oldest version that can say it, so that a worker of the release before goes on
    with every run that was not rewound.
    """
    head: dict[str, Any] = {
        "v": Checkpoint.VERSION if checkpoint.skipped else 1,
        "written": dict(checkpoint.written),
        "tasks": [[task.id, task.node, task.arg] for task in checkpoint.tasks],
    }
    logs = {n: len(v) for n, v in checkpoint.channels.items() if isinstance(v, Log)}
    if logs:
        head["logs"] = logs
    if checkpoint.skipped:
        head["skipped"] = [list(ends) for ends in checkpoint.skipped]
    if checkpoint.watch != NOTHING:
        watch = checkpoint.watch
        head["watch"] = [watch.trace, watch.repeats, watch.still, watch.until]
    return head


def _watch(raw: Any) -> Watch:
    trace, repeats, still, until = raw
    return Watch(trace=trace, repeats=repeats, still=still, until=until)


UPGRADES: Mapping[int, Callable[[JsonObject], JsonObject]] = {1: lambda raw: {**raw, "v": 2}}
"""How to read the head of version n as one of version n + 1."""


def decode_head(raw: JsonObject) -> JsonObject:
    """Read any version ever written, upgrading it one step at a time.

    Raises:
        UnknownVersion: this code is older than the checkpoint.
    """
    while (version := raw["v"]) != Checkpoint.VERSION:
        if version > Checkpoint.VERSION or version not in UPGRADES:
            raise UnknownVersion(f"checkpoint version {version} is newer than this code")
        raw = UPGRADES[version](raw)
    return raw


def decode(
    super_step: int,
    raw: JsonObject,
    values: Mapping[str, Json],
    read_log: Callable[[str], Callable[[], list[Json]]],
) -> Checkpoint:
    """Build a checkpoint from its stored head and its channels' present values.

    `values` holds every written channel that is not a log; `read_log(name)` gives a
    function that reads a log's items when they are wanted.

    Raises:
        UnknownVersion: as `decode_head`.
    """
    head = decode_head(raw)
    logs = {
        name: Log.kept_elsewhere(length, read_log(name))
        for name, length in head.get("logs", {}).items()
    }
    return Checkpoint(
        super_step=super_step,
        channels={**values, **logs},
        written=head["written"],
        tasks=tuple(TaskSpec(id=i, node=node, arg=arg) for i, node, arg in head["tasks"]),
        skipped=tuple((first, last) for first, last in head.get("skipped", ())),
        watch=_watch(head["watch"]) if "watch" in head else NOTHING,
    )
