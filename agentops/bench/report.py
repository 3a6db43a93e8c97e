"""What the benchmark says at its end: tables, and one line of JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from agentops.bench.goals import Goal, goals_table
from agentops.bench.peers.base import Layout
from agentops.bench.rounds import Workload
from agentops.bench.tables import LABELS, Table


class Found(Protocol):
    """What a workload came to."""

    def figures(self) -> dict[str, Any]: ...

    def tables(self) -> Iterator[Table]: ...

    def goals(self) -> Iterator[Goal]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All figures of one command."""

    workload: Workload
    rounds: int
    machine: Mapping[str, Any]
    found: Mapping[str, Found]
    layouts: Mapping[str, Layout]
    missing: Mapping[str, str]
    accept_ms: float | None
    counted: str

    def line(self) -> str:
        """Return the last line: one JSON object."""
        found = {name: result.figures() for name, result in self.found.items()}
        numbers = {
            "runs": self.workload.runs,
            "steps": self.workload.steps,
            "rounds": self.rounds,
            "machine": dict(self.machine),
            "layouts": {name: str(layout) for name, layout in self.layouts.items()},
            "missing": dict(self.missing),
            **found.pop("w1", {}),
            **found,
            "goals": [goal.figures() for goal in self._goals()],
        }
        if self.accept_ms is not None:
            numbers["accept_ms_per_run"] = round(self.accept_ms, 2)
        return json.dumps(numbers)

    def text(self) -> Iterator[str]:
        """Say it for people."""
        for table in self._tables():
            yield from table.text()
        yield ""
        yield from self._notes()

    def markdown(self) -> Iterator[str]:
        """Say it for docs/benchmarks.md."""
        for table in self._tables():
            yield from table.markdown()
        yield ""
        yield from self._notes()

    def _tables(self) -> Iterator[Table]:
        for result in self.found.values():
            yield from result.tables()
        if goals := list(self._goals()):
            yield goals_table(goals)

    def _goals(self) -> Iterator[Goal]:
        for result in self.found.values():
            yield from result.goals()

    def _notes(self) -> Iterator[str]:
        layouts = ", ".join(f"{name} {layout}" for name, layout in self.layouts.items())
        yield f"Processes x threads: {layouts}. CPU counted: {self.counted}."
        for name, why in self.missing.items():
            yield f"Not measured: {LABELS[name]}: {why}."
        if self.accept_ms is not None:
            yield f"Accepting a run took {self.accept_ms:.1f} ms before the clock."
        if self.machine.get("fsync") != "on":
            yield "WARNING: fsync is off on this PostgreSQL; nothing here was durable."
