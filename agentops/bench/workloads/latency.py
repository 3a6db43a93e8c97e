"""Latency: one run alone, from step to step, and from its submission to its first step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from agentops.bench.goals import Goal
from agentops.bench.peers.base import Peer, Trace
from agentops.bench.rounds import Say
from agentops.bench.tables import LABELS, Table, number

FIRST_MS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Latency:
    """The runs of each peer; a figure is the median over its runs."""

    traces: Mapping[str, Sequence[Trace]]

    def figures(self) -> dict[str, Any]:
        steps = {name: round(self._step_ms(name), 3) for name in self.traces}
        first = {name: ms for name in self.traces if (ms := self._first_ms(name)) is not None}
        return {"step_ms": steps, "first_step_ms": first}

    def tables(self) -> Iterator[Table]:
        """Set the peers under each other."""
        rows = [
            [LABELS[name], number(self._step_ms(name), 2), number(self._first_ms(name), 1)]
            for name in self.traces
        ]
        header = ["", "step to step p50, ms", "submission to first step, ms"]
        yield Table("One run alone", header, rows)

    def goals(self) -> Iterator[Goal]:
        """Compare with LangGraph; the first step has a bound of its own."""
        if "langgraph" in self.traces:
            ratio = self._step_ms("burst") / self._step_ms("langgraph")
            yield Goal("step to step against LangGraph's", ratio, 0.8)
        yield Goal("submission to first step, ms", self._first_ms("burst") or 0.0, FIRST_MS)

    def _step_ms(self, name: str) -> float:
        return 1000 * median(median(trace.gaps) for trace in self.traces[name])

    def _first_ms(self, name: str) -> float | None:
        firsts = [trace.first for trace in self.traces[name] if trace.first is not None]
        return round(1000 * median(firsts), 2) if firsts else None


def latency(peers: Sequence[Peer], *, steps: int, times: int, say: Say) -> Latency:
    """Play one run alone with every peer in turn, once more than is counted."""
    traces: dict[str, list[Trace]] = {peer.name: [] for peer in peers}
    for turn in range(times + 1):
        for peer in peers:
            trace = peer.trace(steps)
            if turn:
                traces[peer.name].append(trace)
                say(f"latency  {peer.name:<10} {1000 * median(trace.gaps):8.2f} ms step to step")
    return Latency(traces)
