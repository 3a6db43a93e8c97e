"""Workload: a file of tasks, each with the calls of an ideal agent and what they change.

`load` reads any file of the format (see examples/workloads/README.md) or says what is wrong
and where. What it returns is complete: effects have been tried on the initial records, so
that a file which cannot be played is refused before anything is started.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NoReturn, cast, get_args

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from referencing import Registry
from referencing.exceptions import Unresolvable

from agentops.play.records import (
    OPS,
    Effect,
    EffectError,
    Op,
    Step,
    call_digest,
    changed,
    sha256,
    storable,
)

JsonObject = dict[str, Any]

OPEN_SCHEMA: Final[JsonObject] = {"type": "object", "properties": {}, "additionalProperties": True}
LARGEST_SCHEMA: Final = 60_000
USABLE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
NOWHERE: Final[Registry[Any]] = Registry()  # the default one would fetch remote references


class WorkloadError(ValueError):
    """A workload file cannot be played; the message says what is wrong and where."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool as the service offers it.

    `offered` is its name there: the file's own, unless no tool can be called so.
    """

    name: str
    offered: str
    description: str
    parameters: JsonObject
    mutates: bool


@dataclass(frozen=True, slots=True)
class Action:
    """One call of the ideal agent, what the service answers, and what that changes."""

    name: str
    arguments: JsonObject
    result: Any
    error: str | None
    effects: tuple[Effect, ...]
    digest: str

    @property
    def writes(self) -> bool:
        return bool(self.effects) and self.error is None


@dataclass(frozen=True, slots=True)
class Task:
    """What a customer wants, how it is done, and the records before and after."""

    index: int
    id: Any
    instructions: Any
    actions: tuple[Action, ...]
    initial_records: JsonObject
    final_records: JsonObject
    final_sha256: str | None

    @property
    def label(self) -> str:
        return str(storable(_plain(self.id)))

    @property
    def request(self) -> str:
        """The instructions as a person would hand them over: text."""
        said = self.instructions
        if isinstance(said, dict):
            said = "\n".join(f"{key}: {_plain(value)}" for key, value in said.items())
        return str(storable(_plain(said)))


@dataclass(frozen=True)
class Workload:
    """A whole file, checked."""

    tools: tuple[Tool, ...]
    tasks: tuple[Task, ...]
    notes: tuple[str, ...] = ()

    @cached_property
    def mutating_tools(self) -> frozenset[str]:
        return frozenset(tool.name for tool in self.tools if tool.mutates)

    @cached_property
    def writes(self) -> int:
        """How many actions change records."""
        return sum(action.writes for action in self.actions())

    @cached_property
    def mutating_calls(self) -> int:
        """How many calls go to a tool that mutates, whether they change anything or not."""
        return sum(action.name in self.mutating_tools for action in self.actions())

    @cached_property
    def most_actions(self) -> int:
        return max((len(task.actions) for task in self.tasks), default=0)

    @cached_property
    def longest_repetition(self) -> int:
        """How often the busiest task makes one and the same call."""
        counts = (Counter(action.digest for action in task.actions) for task in self.tasks)
        return max((max(count.values(), default=0) for count in counts), default=0)

    def actions(self) -> Iterator[Action]:
        return (action for task in self.tasks for action in task.actions)

    def first(self, count: int | None) -> "Workload":
        """Return the workload of only the first tasks; every tool stays."""
        return self if count is None else replace(self, tasks=self.tasks[:count])


def load(path: Path) -> Workload:
    """Read and check a workload file. Raises WorkloadError."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise WorkloadError(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise WorkloadError(f"{path}: not UTF-8 text (byte {error.start})") from error
    try:
        raw = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise WorkloadError(f"{path}: not JSON: {error}") from error
    return parse(raw)


def parse(raw: Any) -> Workload:
    """Check a decoded workload and return it. Raises WorkloadError."""
    whole = _object(raw, "the file")
    entries = [
        _object(tool, f"tools[{i}]") for i, tool in enumerate(_list(whole, "tools", "the file"))
    ]
    names = _names(entries)
    raw_tasks = _list(whole, "tasks", "the file")
    tasks = tuple(_task(entry, index, names) for index, entry in enumerate(raw_tasks))
    if not tasks:
        raise WorkloadError("tasks: the list is empty, there is nothing to play")
    notes: list[str] = []
    offered = _offered(entries)
    tools = tuple(
        _tool(entry, f"tools[{i}]", offered, tasks, notes) for i, entry in enumerate(entries)
    )
    return Workload(tools=tools, tasks=tasks, notes=(*notes, *_inconsistencies(tasks)))


def _names(tools: Sequence[JsonObject]) -> frozenset[str]:
    names: set[str] = set()
    for index, tool in enumerate(tools):
        name = _text(tool, "name", f"tools[{index}]")
        if name in names:
            raise WorkloadError(f"tools[{index}].name: {name!r} stands in the list twice")
        names.add(name)
    return frozenset(names)


def _offered(tools: Sequence[JsonObject]) -> dict[str, str]:
    """Give each tool a name that any model and any server can say, its own where it is one."""
    found: dict[str, str] = {}
    taken = {tool["name"] for tool in tools if USABLE.fullmatch(tool["name"])}
    for index, tool in enumerate(tools):
        name = tool["name"]
        if name not in taken:
            plain = re.sub(r"[^A-Za-z0-9_-]+", "_", name)[:40]
            name = f"tool_{index}_{plain}"
            while name in taken:
                name += "_"
        taken.add(name)
        found[tool["name"]] = name
    return found


def _tool(
    raw: JsonObject, at: str, offered: dict[str, str], tasks: Sequence[Task], notes: list[str]
) -> Tool:
    name = raw["name"]
    declared = raw.get("mutates_state")
    if not isinstance(declared, bool | None):
        _refuse(f"{at}.mutates_state", "true, false or nothing", declared)
    calls = [action for task in tasks for action in task.actions if action.name == name]
    parameters = _object(raw.get("parameters") or {"type": "object", "properties": {}}, at)
    if problem := _misfit(parameters, calls):
        notes.append(f"tool {name}: offered with an open schema, because {problem}")
        parameters = OPEN_SCHEMA
    if offered[name] != name:
        notes.append(f"tool {name}: offered as {offered[name]}")
    return Tool(
        name=name,
        offered=offered[name],
        description=storable(str(raw.get("description") or name)),
        parameters=storable({"type": "object", **parameters}),
        mutates=bool(declared) or any(action.effects for action in calls),
    )


def _misfit(schema: JsonObject, calls: Sequence[Action]) -> str | None:
    """Say why the service's own calls do not satisfy the schema it declares, if they do not."""
    if schema.get("type", "object") != "object":
        return f"its declared type is {schema['type']!r}"
    if len(json.dumps(schema)) > LARGEST_SCHEMA:
        return f"its schema is longer than {LARGEST_SCHEMA} characters"
    validator = Draft202012Validator(schema, registry=NOWHERE)
    try:
        Draft202012Validator.check_schema(schema)
        list(validator.iter_errors({}))
        for action in calls:
            for problem in validator.iter_errors(storable(action.arguments)):
                return f"a call of the file does not fit it: {problem.message[:200]}"
    except (SchemaError, Unresolvable, RecursionError) as error:
        return f"its schema cannot be used: {str(error)[:200]}"
    return None


def _task(value: Any, index: int, tools: frozenset[str]) -> Task:
    at = f"tasks[{index}]"
    raw = _object(value, at)
    initial = _object(raw.get("initial_records") or {}, f"{at}.initial_records")
    actions = tuple(
        _action(entry, f"{at}.actions[{i}]", tools)
        for i, entry in enumerate(_list(raw, "actions", at, default=[]))
    )
    computed = _played(initial, actions, at)
    final = raw.get("final_records")
    sha = raw.get("final_sha256")
    if not isinstance(sha, str | None):
        _refuse(f"{at}.final_sha256", "a text", sha)
    return Task(
        index=index,
        id=raw.get("id", index),
        instructions=raw.get("user_instructions", ""),
        actions=actions,
        initial_records=initial,
        final_records=computed if final is None else _object(final, f"{at}.final_records"),
        final_sha256=sha,
    )


def _action(value: Any, at: str, tools: frozenset[str]) -> Action:
    raw = _object(value, at)
    name = _text(raw, "name", at)
    if name not in tools:
        raise WorkloadError(f"{at}.name: {name!r} is not one of the file's tools")
    arguments = _object(raw.get("arguments") or {}, f"{at}.arguments")
    error = raw.get("error")
    effects = tuple(
        _effect(entry, f"{at}.effects[{i}]")
        for i, entry in enumerate(_list(raw, "effects", at, default=[]))
    )
    return Action(
        name=name,
        arguments=arguments,
        result=raw.get("result"),
        error=None if error is None else _plain(error),
        effects=effects,
        digest=call_digest(name, arguments),
    )


def _effect(value: Any, at: str) -> Effect:
    raw = _object(value, at)
    op = raw.get("op")
    if op not in OPS:
        _refuse(f"{at}.op", f"one of {', '.join(get_args(Op))}", op)
    digits, delta = raw.get("digits"), raw.get("delta", 0)
    if not _is_whole(digits) and digits is not None:
        _refuse(f"{at}.digits", "a whole number", digits)
    if op == "inc" and (not isinstance(delta, int | float) or isinstance(delta, bool)):
        _refuse(f"{at}.delta", "a number", delta)
    if op in {"set", "append"} and "value" not in raw:
        raise WorkloadError(f"{at}.value: missing")
    path = _path(raw, at)
    return Effect(op=cast("Op", op), path=path, value=raw.get("value"), delta=delta, digits=digits)


def _path(raw: JsonObject, at: str) -> tuple[Step, ...]:
    steps = _list(raw, "path", at)
    if not steps:
        raise WorkloadError(f"{at}.path: empty")
    for step in steps:
        if not isinstance(step, str) and not _is_whole(step):
            _refuse(f"{at}.path", "texts and whole numbers", step)
    return tuple(steps)


def _played(initial: JsonObject, actions: Sequence[Action], at: str) -> JsonObject:
    """Return the records after the task's own actions, or say which effect cannot be made."""
    records = initial
    for index, action in enumerate(actions):
        if action.writes:
            try:
                records = changed(records, action.effects)
            except EffectError as error:
                raise WorkloadError(f"{at}.actions[{index}].effects: {error}") from error
    return records


def _inconsistencies(tasks: Sequence[Task]) -> Iterator[str]:
    """Name the tasks that cannot end right because the file contradicts itself."""
    for task in tasks:
        computed = sha256(_played(task.initial_records, task.actions, f"tasks[{task.index}]"))
        if computed != sha256(task.final_records):
            yield f"task {task.label}: its own effects do not lead to its final_records"
        elif task.final_sha256 not in {None, computed}:
            yield f"task {task.label}: final_sha256 is not the digest of its final_records"


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _object(value: Any, at: str) -> JsonObject:
    return value if isinstance(value, dict) else _refuse(at, "an object", value)


def _list(raw: JsonObject, key: str, at: str, default: list[Any] | None = None) -> list[Any]:
    value = raw.get(key)
    if value is None and default is not None:
        return default
    return value if isinstance(value, list) else _refuse(f"{at}.{key}", "a list", value)


def _text(raw: JsonObject, key: str, at: str) -> str:
    value = raw.get(key)
    return value if isinstance(value, str) and value else _refuse(f"{at}.{key}", "a text", value)


def _refuse(at: str, expected: str, got: Any) -> NoReturn:
    shown = "nothing" if got is None else json.dumps(got, ensure_ascii=True)[:60]
    raise WorkloadError(f"{at}: expected {expected}, found {shown}")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")
