"""What the benchmark says at its end: a table, and one line of JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from agentops.bench.peers import Layout
from agentops.bench.rounds import Sample, Workload

PEER: Final = "langgraph"
LABELS: Final = {
    "burst": "AgentOps, bursts",
    "strict": "AgentOps, a message per step",
    "effects": "AgentOps, bursts, an effect per step",
    PEER: "LangGraph, PostgresSaver, sync",
}
RATIOS: Final = {
    "langgraph_ratio": "burst",
    "langgraph_ratio_strict": "strict",
    "langgraph_ratio_effects": "effects",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All figures of one command: medians over its rounds; ratios are medians of each round's."""

    workload: Workload
    rounds: int
    machine: Mapping[str, Any]
    samples: Mapping[str, Sequence[Sample]]
    layouts: Mapping[str, Layout]
    accept_ms: float
    counted: str

    def line(self) -> str:
        """Return the last line: one JSON object."""
        numbers = {
            "runs": self.workload.runs,
            "steps": self.workload.steps,
            "rounds": self.rounds,
            "machine": dict(self.machine),
            "layouts": {name: str(layout) for name, layout in self.layouts.items()},
            "results": {name: figures(found) for name, found in self.samples.items()},
            "accept_ms_per_run": round(self.accept_ms, 2),
            **self.ratios(),
        }
        return json.dumps(numbers)

    def ratios(self) -> dict[str, float]:
        """Compare with LangGraph, round by round; nothing where it was not measured."""
        if PEER not in self.samples:
            return {}
        found = {key: self._ratio(name, "rate") for key, name in RATIOS.items()}
        found["langgraph_cpu_ratio"] = self._ratio("burst", "cpu_ms")
        found["langgraph_bytes_ratio"] = self._ratio("burst", "bytes_per_run")
        return found

    def table(self) -> Iterator[str]:
        """Say it for people."""
        yield f"{'':<38} {'steps/s':>9} {'ratio':>6} {'CPU ms':>7} {'of PG':>6} {'bytes/run':>10}"
        for name, found in self.samples.items():
            told = figures(found)
            ratio = f"{self._ratio(name, 'rate'):6.2f}" if PEER in self.samples else "     -"
            cpu, database = told["cpu_ms_per_step"], told["database_cpu_ms_per_step"]
            yield (
                f"{LABELS[name]:<38} {told['steps_per_second']:>9,.0f} {ratio}"
                f" {cpu:>7.2f} {database:>6.2f} {told['bytes_per_run']:>10,.0f}"
            )
        layouts = ", ".join(f"{name} {layout}" for name, layout in self.layouts.items())
        yield f"processes x threads: {layouts}; CPU counted: {self.counted}"
        yield f"accepting a run took {self.accept_ms:.1f} ms before the clock"
        if self.machine.get("fsync") != "on":
            yield "WARNING: fsync is off on this PostgreSQL; nothing here was durable"

    def _ratio(self, name: str, figure: str) -> float:
        pairs = zip(self.samples[name], self.samples[PEER], strict=True)
        ratios: list[float] = [getattr(a, figure) / getattr(b, figure) for a, b in pairs]
        return round(median(ratios), 3)


def figures(samples: Sequence[Sample]) -> dict[str, float]:
    """Take the medians."""
    return {
        "steps_per_second": round(median(sample.rate for sample in samples), 1),
        "cpu_ms_per_step": round(median(sample.cpu_ms for sample in samples), 3),
        "database_cpu_ms_per_step": round(median(sample.database_cpu_ms for sample in samples), 3),
        "bytes_per_run": round(median(sample.bytes_per_run for sample in samples)),
        "audit_bytes_per_run": round(median(sample.audit_bytes_per_run for sample in samples)),
    }
