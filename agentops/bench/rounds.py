"""Rounds: every peer plays the same workload in turn, so that what disturbs one disturbs all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from agentops.bench.measure import Size, analyze, cpu_seconds
from agentops.bench.peers.base import Peer, Went

WARM_UP_RUNS: Final = 40

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What one peer did in one round."""

    runs: int
    steps: int
    seconds: float
    cpu: float
    database_cpu: float
    grown: Size

    @property
    def rate(self) -> float:
        """Give super-steps per second."""
        return self.steps / self.seconds

    @property
    def cpu_ms(self) -> float:
        """Give the CPU milliseconds of a super-step."""
        return 1000 * self.cpu / self.steps

    @property
    def database_cpu_ms(self) -> float:
        """Give the part of it that PostgreSQL used."""
        return 1000 * self.database_cpu / self.steps

    @property
    def bytes_per_run(self) -> float:
        return self.grown.total / self.runs

    @property
    def audit_bytes_per_run(self) -> float:
        return self.grown.audit / self.runs


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """R runs of S super-steps each."""

    runs: int
    steps: int


@dataclass(frozen=True)
class Rounds:
    """Plays rounds. `database_pid` is the server's where it runs on this machine."""

    workload: Workload
    database_pid: int | None
    say: Say

    def play(self, peers: Sequence[Peer], rounds: int) -> dict[str, list[Sample]]:
        """Warm every peer up, and play; a different peer begins each round."""
        for peer in peers:
            self.warm_up(peer)
            if peer.database_url is not None:
                analyze(peer.database_url)
        samples: dict[str, list[Sample]] = defaultdict(list)
        for number in range(rounds):
            first = number % len(peers)
            for peer in (*peers[first:], *peers[:first]):
                sample = self.sample(peer, self.workload)
                samples[peer.name].append(sample)
                self.say(f"round {number + 1}  {_told(peer.name, sample)}")
        return samples

    def warm_up(self, peer: Peer) -> Went:
        """Let connections open and code be imported."""
        peer.prepare(min(self.workload.runs, WARM_UP_RUNS), self.workload.steps)
        return peer.go()

    def sample(self, peer: Peer, workload: Workload) -> Sample:
        """Play once and measure. CPU and clock start when everything is prepared."""
        peer.prepare(workload.runs, workload.steps)
        size, before = peer.size(), self._cpu(peer)
        went = peer.go()
        own, database = (now - then for now, then in zip(self._cpu(peer), before, strict=True))
        return Sample(
            runs=workload.runs,
            steps=went.steps,
            seconds=went.seconds,
            cpu=own + database,
            database_cpu=database,
            grown=peer.size() - size,
        )

    def _cpu(self, peer: Peer) -> tuple[float, float]:
        """Give the CPU seconds of a peer's own processes, and of PostgreSQL."""
        pid = self.database_pid
        server = [] if pid is None or peer.database_url is None else [pid]
        return cpu_seconds(peer.roots()), cpu_seconds(server)


def _told(name: str, sample: Sample) -> str:
    return f"{name:<18} {sample.rate:8,.0f} steps/s  {sample.cpu_ms:6.2f} ms CPU per step"
