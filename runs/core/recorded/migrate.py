"""Taking a sleeping run over to another version of its agent, purely: does it fit, and what then.

nothing asked yet in the super-step under way   a checkpoint is appended that stands for the
                                                present one, as the new version wants it
something asked, and the new version asks       only the version changes: every question keeps
the same there, as it declares                  its place, and so its answer
anything else                                   refused, with the reasons
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from policy.core.json import Json, canonical, storable
from runs.core.channels import Log
from runs.core.checkpoint import Checkpoint, TaskSpec
from runs.core.files import FILES
from runs.core.graph import Graph
from runs.core.recorded.travel import misfit, owned, plain
from runs.errors import Misfit

State = Mapping[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """What a version declares about runs of an older one, so that they may go on under it.

    `state` gives all channels as the new version wants them, from what they were; without it
    they stay. `nodes` says how old nodes are called now. `same` names nodes that ask the same
    questions in the same order as they did: runs may change over while such a node is waiting.
    """

    state: Callable[[dict[str, Any]], State] | None = None
    nodes: Mapping[str, str] = field(default_factory=dict)
    same: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """What a migration commits; without a checkpoint, the run stays where it is."""

    checkpoint: Checkpoint | None = None
    writes: State = field(default_factory=dict)


def migrated(
    present: Checkpoint,
    asked: Iterable[str],
    *,
    before: Mapping[str, str],
    to: Graph,
    how: Migration,
) -> Moved:
    """Take a run over: `asked` are its tasks with effects or kept results, `before` the reducers.

    Raises:
        Misfit: it does not fit the new version; the reasons say why. Nothing was changed.
    """
    tasks = tuple(_renamed(task, how.nodes) for task in present.tasks)
    wrong = [
        f"it goes on at node {task.node!r}, which the new version does not have"
        for task in tasks
        if task.node not in to.nodes
    ]
    if present.super_step >= to.max_super_steps:
        wrong.append(f"the new version ends after {to.max_super_steps} super-steps")
    state, changed = _state(present, how)
    wrong += _unfitting(state, before, to, is_mapped=how.state is not None)
    is_changed = changed or tasks != present.tasks
    under_way = set(asked)
    if under_way:
        wrong += _asking(present, under_way, how, is_changed=is_changed)
    if wrong:
        raise Misfit(wrong)
    if under_way:
        return Moved()
    number = present.super_step + 1
    if not is_changed:
        return Moved(checkpoint=replace(present, super_step=number))
    whole = {name: plain(value) for name, value in state.items()}
    checkpoint = Checkpoint(
        super_step=number,
        channels={name: owned(to, name, value) for name, value in whole.items()},
        written=dict.fromkeys(whole, number),
        tasks=tasks,
        skipped=((0, present.super_step),),
    )
    return Moved(checkpoint=checkpoint, writes=whole)


def _renamed(task: TaskSpec, nodes: Mapping[str, str]) -> TaskSpec:
    """Give a task its node's new name, and an id to match."""
    node = nodes.get(task.node, task.node)
    return replace(task, node=node, id=node + task.id.removeprefix(task.node))


def _state(present: Checkpoint, how: Migration) -> tuple[State, bool]:
    """Give the channels under the new version, and whether they differ from the old ones.

    Logs are read only where somebody may change them. Files are no version's: they stay.
    """
    if how.state is None:
        return present.channels, False
    old: dict[str, Any] = {name: plain(value) for name, value in present.channels.items()}
    files = {FILES: old.pop(FILES)} if FILES in old else {}
    try:
        new: dict[str, Json] = storable(dict(how.state(storable(old))))
    except Exception as error:
        raise Misfit([f"its migration failed: {type(error).__name__}: {error}"]) from error
    return {**new, **files}, canonical(new) != canonical(old)


def _unfitting(
    state: State, before: Mapping[str, str], to: Graph, *, is_mapped: bool
) -> Iterable[str]:
    for name, value in sorted(state.items()):
        if (text := misfit(to, name, [] if isinstance(value, Log) else value)) is not None:
            yield text
        elif name != FILES and not is_mapped and before.get(name, "") != to.channels[name].reducer:
            was, now = before.get(name, "gone"), to.channels[name].reducer.value
            yield f"channel {name!r} was merged as {was}, and now as {now}"


def _asking(
    present: Checkpoint, under_way: set[str], how: Migration, *, is_changed: bool
) -> Iterable[str]:
    """Say why a super-step that has asked something cannot go on under the new version."""
    if is_changed:
        yield "its super-step under way has asked for effects, so its state must stay as it is"
    for task in present.tasks:
        if task.id in under_way and task.node not in how.same:
            yield (
                f"task {task.id!r} has asked for effects in the super-step under way, and the new "
                f"version does not declare that {task.node!r} asks the same (Migration.same)"
            )
