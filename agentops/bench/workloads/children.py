"""W3: a run starts durable children, all at once, and joins them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final, Protocol

from agentops.bench.goals import Goal
from agentops.bench.measure import cpu_seconds
from agentops.bench.rounds import Say
from agentops.bench.tables import LABELS, Table, number

CHILDREN: Final = 50
FAMILIES: Final = 10
"""How many are played after each other in a round."""


class Joins(Protocol):
    """Something whose runs can start others and wait for them."""

    @property
    def name(self) -> str: ...

    @property
    def database_url(self) -> str | None: ...

    def roots(self) -> list[int]:
        """Give the processes whose CPU is this peer's, beside the database server's."""
        ...

    def family(self, children: int) -> float:
        """Play a run that starts so many children and joins them; give its seconds."""
        ...


@dataclass(frozen=True, slots=True)
class Round:
    """What one peer did in one round: seconds of each family, and the CPU seconds of one."""

    seconds: Sequence[float]
    cpu: float

    @property
    def median(self) -> float:
        return median(self.seconds)


@dataclass(frozen=True, slots=True)
class Children:
    """The rounds of every peer."""

    rounds: Mapping[str, Sequence[Round]]

    def figures(self) -> dict[str, Any]:
        ms = {name: round(self._ms(name), 1) for name in self.rounds}
        cpu = {name: round(self._cpu_ms(name), 1) for name in self.rounds}
        return {"children": CHILDREN, "ms": ms, "cpu_ms": cpu}

    def tables(self) -> Iterator[Table]:
        """Set the peers under each other."""
        rows = [
            [LABELS[name], number(self._ms(name), 0), number(self._cpu_ms(name), 0)]
            for name in self.rounds
        ]
        yield Table(f"A run with {CHILDREN} children", ["", "ms", "CPU ms"], rows)

    def goals(self) -> Iterator[Goal]:
        """Compare with Restate and DBOS."""
        for peer, bound in (("restate", 1.0), ("dbos", 0.25)):
            if peer in self.rounds:
                pairs = zip(self.rounds["burst"], self.rounds[peer], strict=True)
                ratio = median(own.median / other.median for own, other in pairs)
                yield Goal(f"{CHILDREN} children against {LABELS[peer]}'s", ratio, bound)

    def _ms(self, name: str) -> float:
        return 1000 * median(played.median for played in self.rounds[name])

    def _cpu_ms(self, name: str) -> float:
        return 1000 * median(played.cpu for played in self.rounds[name])


def children(peers: Sequence[Joins], *, times: int, database_pid: int | None, say: Say) -> Children:
    """Play families with every peer in turn, warm."""
    rounds: dict[str, list[Round]] = {peer.name: [] for peer in peers}
    for peer in peers:
        peer.family(CHILDREN)
    for _ in range(times):
        for peer in peers:
            played = _round(peer, database_pid)
            rounds[peer.name].append(played)
            say(f"children {peer.name:<10} {1000 * played.median:8,.0f} ms")
    return Children(rounds)


def _round(peer: Joins, database_pid: int | None) -> Round:
    counted = peer.roots()
    if database_pid is not None and peer.database_url is not None:
        counted.append(database_pid)
    before = cpu_seconds(counted)
    seconds = [peer.family(CHILDREN) for _ in range(FAMILIES)]
    return Round(seconds, (cpu_seconds(counted) - before) / FAMILIES)
