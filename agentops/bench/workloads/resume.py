"""Resume: how long it takes to go on with a run that has a long history."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from agentops.bench.goals import Goal
from agentops.bench.peers.base import Resumes
from agentops.bench.rounds import Say
from agentops.bench.tables import LABELS, Table, number


@dataclass(frozen=True, slots=True)
class Resume:
    """Seconds from the word to one more committed step, by peer."""

    steps: int
    seconds: Mapping[str, Sequence[float]]

    def figures(self) -> dict[str, Any]:
        return {"steps": self.steps, "ms": {name: self._ms(name) for name in self.seconds}}

    def tables(self) -> Iterator[Table]:
        """Set the peers under each other."""
        rows = [[LABELS[name], number(self._ms(name), 1)] for name in self.seconds]
        yield Table(f"Going on with a run of {self.steps:,} steps", ["", "ms"], rows)

    def goals(self) -> Iterator[Goal]:
        """Compare with LangGraph."""
        if "langgraph" in self.seconds:
            pairs = zip(self.seconds["agentops"], self.seconds["langgraph"], strict=True)
            yield Goal("resume against LangGraph's", median(a / b for a, b in pairs), 1.0)

    def _ms(self, name: str) -> float:
        return round(1000 * median(self.seconds[name]), 2)


def resume(peers: Sequence[Resumes], *, steps: int, times: int, say: Say) -> Resume:
    """Leave a run and go on with it, with every peer in turn."""
    seconds: dict[str, list[float]] = {peer.name: [] for peer in peers}
    for _ in range(times):
        for peer in peers:
            seconds[peer.name].append(peer.resume(steps))
            say(f"resume   {peer.name:<10} {1000 * seconds[peer.name][-1]:10,.1f} ms")
    return Resume(steps, seconds)
