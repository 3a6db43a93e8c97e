"""An agent version, ready to run: its graph, what it was granted, and its bounds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Any, Literal, get_args

from policy.core.call import Autonomy
from policy.core.json import Json, JsonObject
from policy.core.money import Limits
from runs.agents.children import ChildLimits
from runs.core.graph import Graph
from runs.core.recorded.migrate import Migration, State
from runs.errors import InvalidGraph

Mapped = Callable[[dict[str, Any]], State]
OnExhausted = Literal["pause", "cancel"]


def _anything(value: Json) -> Json:
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What the engine executes for a run of one agent version.

    `accept` checks a run's input and gives it in the form that is stored; it raises
    `InvalidInput`. `tools` and `agents` are patterns of the names of what it was granted.
    `prompt` is what its operator tells the model, a trusted source of values.
    `autonomy` is the most that it may do by itself, whatever policy allows.
    `migrates` says, by version, how runs of older versions go on under this one: a `Migration`,
    or only its function from state to state. `budget` and `deadline` are a run's where its
    starter gives none; `children` bounds the runs that it may start. `on_exhausted` says what
    becomes of a run whose budget is exhausted for good: it pauses until somebody raises it, or it
    is cancelled. `deadline_stops_for_people`: a run's clock stands still while a person must act.
    """

    name: str
    version: str
    graph: Graph
    model: str = ""
    prompt: str = ""
    tools: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    children: ChildLimits = field(default_factory=ChildLimits)
    autonomy: Autonomy = Autonomy.ACT
    budget: Limits = field(default_factory=Limits)
    on_exhausted: OnExhausted = "pause"
    deadline: timedelta | None = None
    deadline_stops_for_people: bool = False
    input_schema: JsonObject = field(default_factory=dict)
    accept: Callable[[Json], Json] = _anything
    description: str = ""
    migrates: Mapping[str, Migration | Mapped] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.on_exhausted not in get_args(OnExhausted):
            known = " or ".join(get_args(OnExhausted))
            raise InvalidGraph(f"on_exhausted is {known}, not {self.on_exhausted!r}")

    def migration_from(self, version: str) -> Migration:
        """Give what this version declares about runs of another; `*` stands for any other."""
        declared = self.migrates.get(version, self.migrates.get("*", Migration()))
        return declared if isinstance(declared, Migration) else Migration(state=declared)

    def under(self, levels: Iterable[Autonomy]) -> Program:
        """Give it as it may act where those who spawned it have these levels of autonomy."""
        least = Autonomy.least([self.autonomy, *levels])
        return self if least is self.autonomy else replace(self, autonomy=least)

    def grants(self, tool: str) -> bool:
        """Say whether the agent was given this tool."""
        return any(fnmatchcase(tool, pattern) for pattern in self.tools)

    def grants_agent(self, name: str) -> bool:
        """Say whether the agent may start runs of this other one."""
        return any(fnmatchcase(name, pattern) for pattern in self.agents)

    def definition(self) -> JsonObject:
        """Describe the version for its row."""
        return {
            "model": self.model,
            "tools": list(self.tools),
            "agents": list(self.agents),
            "children": asdict(self.children),
            "autonomy": self.autonomy.value,
            "on_exhausted": self.on_exhausted,
            "deadline_stops_for_people": self.deadline_stops_for_people,
            "max_super_steps": self.graph.max_super_steps,
            "max_tasks": self.graph.max_tasks,
            "retry": {name: node.retry.to_json() for name, node in self.graph.nodes.items()},
            "graph": self.graph.shape(),
            "graph_digest": self.graph.digest(),
            "input_schema": self.input_schema,
            "description": self.description,
        }
