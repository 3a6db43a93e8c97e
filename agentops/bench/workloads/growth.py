"""Growth: bytes of a run by its length, steps/s of long runs, and what loading one costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from agentops.bench.goals import Goal
from agentops.bench.peers.base import Peer
from agentops.bench.peers.product import Alone
from agentops.bench.rounds import Rounds, Workload
from agentops.bench.tables import LABELS, Table, number

SHORT: Final = 5
BURST_RUNS: Final = 16
USUAL_STEPS: Final = 20


@dataclass(frozen=True, slots=True)
class Growth:
    """Bytes per run by its steps; rates of long and short runs; seconds to load by checkpoint."""

    sizes: Mapping[str, Mapping[int, float]]
    audit: float
    rates: Sequence[tuple[float, float]]
    loads: Mapping[int, float]

    def figures(self) -> dict[str, Any]:
        return {
            "bytes_per_run": {name: dict(sizes) for name, sizes in self.sizes.items()},
            "audit_bytes_per_run": self.audit,
            "long_to_short_rate": self._steady(),
            "load_ms": {steps: round(1000 * s, 3) for steps, s in self.loads.items()},
        }

    def tables(self) -> Iterator[Table]:
        """Give bytes by length, and what a load costs."""
        steps = sorted(next(iter(self.sizes.values())))
        rows = [
            [LABELS[name], *(number(sizes[at]) for at in steps)]
            for name, sizes in self.sizes.items()
        ]
        yield Table("Bytes per run", ["", *(f"S = {at:,}" for at in steps)], rows)
        header = ["", *(f"checkpoint {at:,}" for at in self.loads)]
        told = ["AgentOps, ms", *(number(1000 * s, 2) for s in self.loads.values())]
        yield Table("Claiming and loading a run", header, [told])

    def goals(self) -> Iterator[Goal]:
        """Compare the longest runs."""
        longest = max(next(iter(self.sizes.values())))
        own = self.sizes["burst"][longest] - self.audit
        for peer, bound in (("langgraph", 1 / 80), ("dbos", 1.0)):
            if peer in self.sizes:
                ratio = own / self.sizes[peer][longest]
                yield Goal(f"bytes at S = {longest:,} against {LABELS[peer]}", ratio, bound)
        what = f"steps/s at S = {longest:,} against S = {USUAL_STEPS}"
        yield Goal(what, self._steady(), 0.9, at_least=True)

    def _steady(self) -> float:
        return round(median(long / short for long, short in self.rates), 3)


def growth(
    rounds: Rounds, peers: Sequence[Peer], alone: Alone, *, lengths: Sequence[int], times: int
) -> Growth:
    """Play runs of each length with every peer that keeps its state in PostgreSQL."""
    sizes: dict[str, dict[int, float]] = {}
    audit = 0.0
    for steps in lengths:
        for peer in (peer for peer in peers if peer.database_url is not None):
            workload = Workload(runs=max(4, 400 // steps), steps=steps)
            sample = rounds.sample(peer, workload)
            sizes.setdefault(peer.name, {})[steps] = round(sample.bytes_per_run)
            rounds.say(f"growth   {peer.name:<10} S = {steps:<5} {sample.bytes_per_run:12,.0f} B")
            audit = sample.audit_bytes_per_run if peer is peers[0] else audit
    rates = [_rates(rounds, peers[0], max(lengths)) for _ in range(times)]
    loads = {steps: median(alone.load(steps) for _ in range(5)) for steps in (SHORT, max(lengths))}
    return Growth(sizes, round(audit), rates, loads)


def _rates(rounds: Rounds, peer: Peer, longest: int) -> tuple[float, float]:
    """Play as many steps in long runs as in short ones."""
    short = Workload(runs=BURST_RUNS * longest // USUAL_STEPS, steps=USUAL_STEPS)
    long = rounds.sample(peer, Workload(runs=BURST_RUNS, steps=longest))
    rates = long.rate, rounds.sample(peer, short).rate
    rounds.say(f"growth   {rates[0]:,.0f} steps/s in long runs, {rates[1]:,.0f} in short ones")
    return rates
