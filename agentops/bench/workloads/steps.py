"""W1: steps per second, CPU per step and bytes per run; W1e is the same with an effect per step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from agentops.bench.goals import Goal
from agentops.bench.rounds import Sample
from agentops.bench.tables import LABELS, Table, number

FASTER: Final = {"langgraph": 4.0, "restate": 1.5, "dbos": 6.0}


@dataclass(frozen=True, slots=True)
class Steps:
    """The samples of every peer: medians over the rounds; a ratio is the median of each round's."""

    samples: Mapping[str, Sequence[Sample]]

    def figures(self) -> dict[str, Any]:
        """Give all figures; ratios only to whoever was measured."""
        found: dict[str, Any] = {"results": {name: _medians(s) for name, s in self.samples.items()}}
        for peer in (name for name in FASTER if name in self.samples):
            found[f"{peer}_ratio"] = self.ratio("burst", peer, "rate")
            found[f"{peer}_ratio_strict"] = self.ratio("strict", peer, "rate")
            found[f"{peer}_ratio_effects"] = self.ratio("effects", peer, "rate")
            found[f"{peer}_cpu_ratio"] = self.ratio("burst", peer, "cpu_ms")
        return found

    def tables(self) -> Iterator[Table]:
        """Set the peers under each other."""
        base = "langgraph" if "langgraph" in self.samples else "burst"
        header = ["", "steps/s", "ratio", "CPU ms per step", "of which PostgreSQL", "bytes per run"]
        yield Table("W1 and W1e", header, [self._row(name, base) for name in self.samples])

    def goals(self) -> Iterator[Goal]:
        """Compare with those who were measured."""
        for peer in (name for name in FASTER if name in self.samples):
            ratio = self.ratio("burst", peer, "rate")
            yield Goal(f"steps/s against {LABELS[peer]}", ratio, FASTER[peer], at_least=True)
        if "langgraph" in self.samples:
            cpu = self.ratio("burst", "langgraph", "cpu_ms")
            strict = self.ratio("strict", "langgraph", "rate")
            yield Goal("CPU of a step against LangGraph's", cpu, 0.25)
            yield Goal(
                "steps/s with a message per step against LangGraph", strict, 0.9, at_least=True
            )

    def ratio(self, name: str, base: str, figure: str) -> float:
        """Compare round by round."""
        pairs = zip(self.samples[name], self.samples[base], strict=True)
        ratios: list[float] = [getattr(a, figure) / getattr(b, figure) for a, b in pairs]
        return round(median(ratios), 3)

    def _row(self, name: str, base: str) -> list[str]:
        told = _medians(self.samples[name])
        return [
            LABELS[name],
            number(told["steps_per_second"]),
            number(self.ratio(name, base, "rate"), 2),
            number(told["cpu_ms_per_step"], 2),
            number(told["database_cpu_ms_per_step"], 2),
            number(told["bytes_per_run"] or None),
        ]


def _medians(samples: Sequence[Sample]) -> dict[str, float]:
    return {
        "steps_per_second": round(median(sample.rate for sample in samples), 1),
        "cpu_ms_per_step": round(median(sample.cpu_ms for sample in samples), 3),
        "database_cpu_ms_per_step": round(median(sample.database_cpu_ms for sample in samples), 3),
        "bytes_per_run": round(median(sample.bytes_per_run for sample in samples)),
        "audit_bytes_per_run": round(median(sample.audit_bytes_per_run for sample in samples)),
    }
