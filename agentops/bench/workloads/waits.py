"""W2: many runs wait for a slow model server at once, in one worker process."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final, Protocol

from agentops.bench.goals import Goal
from agentops.bench.measure import cpu_seconds, memory
from agentops.bench.peers.base import Went, WrongError
from agentops.bench.rounds import Say
from agentops.bench.tables import LABELS, Table, number
from agentops.child import Child

HOLD_SECONDS: Final = 2.0
WARM_UP_RUNS: Final = 50
LOOK_SECONDS: Final = 0.25
MIB: Final = 2**20
MOST_ABOVE_IDLE: Final = 60.0


class Waits(Protocol):
    """Something whose runs can wait for a model server."""

    @property
    def name(self) -> str: ...

    def roots(self) -> list[int]:
        """Give the processes whose CPU is this peer's, beside the database server's."""
        ...

    def waiting_roots(self) -> list[int]:
        """Give the processes in which runs wait: their memory is measured."""
        ...

    def prepare_to_wait(self, runs: int, url: str) -> None:
        """Have runs ready that each ask the model server at `url` once."""
        ...

    def go(self) -> Went: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Waited:
    """What one peer did in one round; memory is in bytes."""

    seconds: float
    cpu: float
    in_flight: int
    idle: int
    peak: int

    @property
    def mib(self) -> float:
        """Give the memory of the process with everything waiting in it."""
        return self.peak / MIB

    @property
    def mib_above_idle(self) -> float:
        return (self.peak - self.idle) / MIB


@dataclass(frozen=True, slots=True)
class Waiting:
    """The samples of every peer."""

    runs: int
    samples: Mapping[str, Sequence[Waited]]

    def figures(self) -> dict[str, Any]:
        results = {
            name: {
                "seconds": round(median(s.seconds for s in samples), 2),
                "cpu_seconds": round(median(s.cpu for s in samples), 2),
                "in_flight": min(s.in_flight for s in samples),
                "mib_idle": round(median(s.idle for s in samples) / MIB, 1),
                "mib": round(max(s.mib for s in samples), 1),
                "mib_above_idle": round(max(s.mib_above_idle for s in samples), 1),
            }
            for name, samples in self.samples.items()
        }
        return {"runs": self.runs, "results": results}

    def tables(self) -> Iterator[Table]:
        """Set the peers under each other."""
        header = ["", "at once", "CPU s", "s", "MiB idle", "MiB", "MiB above idle"]
        columns = ("in_flight", "cpu_seconds", "seconds", "mib_idle", "mib", "mib_above_idle")
        rows = [
            [LABELS[name], *(number(found[at], 0 if at == "in_flight" else 1) for at in columns)]
            for name, found in self.figures()["results"].items()
        ]
        yield Table(f"{self.runs:,} runs wait for a model, one process", header, rows)

    def goals(self) -> Iterator[Goal]:
        """Compare with LangGraph; a worker has a bound of its own."""
        own = self.samples["waits"]
        above = max(sample.mib_above_idle for sample in own)
        yield Goal(f"MiB above idle, {self.runs:,} runs waiting", above, MOST_ABOVE_IDLE)
        if "langgraph" in self.samples:
            pairs = list(zip(own, self.samples["langgraph"], strict=True))
            yield Goal("W2: CPU against LangGraph's", median(a.cpu / b.cpu for a, b in pairs), 0.8)
            told = median(a.mib / b.mib for a, b in pairs)
            yield Goal("W2: memory of the process against LangGraph's", told, 0.8)


def waits(
    peers: Sequence[Waits], *, runs: int, times: int, database_pid: int | None, logs: Path, say: Say
) -> Waiting:
    """Have every peer wait in turn, warm.

    Raises:
        WrongError: not all of the runs waited at the same time.
    """
    samples: dict[str, list[Waited]] = {peer.name: [] for peer in peers}
    line = [sys.executable, "-m", "agentops.bench.slow_model"]
    with Child("slow-model", line, {}, logs=logs) as model:
        url = f"http://127.0.0.1:{model.hear()['port']}/v1"
        server = [] if database_pid is None else [database_pid]
        for peer in peers:
            _hold(model, warm := min(runs, WARM_UP_RUNS), 0.0)
            peer.prepare_to_wait(warm, url)
            peer.go()
        idle = {peer.name: memory(peer.waiting_roots()) for peer in peers}
        for _ in range(times):
            for peer in peers:
                _hold(model, runs, HOLD_SECONDS)
                peer.prepare_to_wait(runs, url)
                sample = _sample(peer, runs, idle[peer.name], server, model)
                samples[peer.name].append(sample)
                say(_told(peer.name, sample))
    return Waiting(runs, samples)


def _hold(model: Child, runs: int, seconds: float) -> None:
    model.ask({"expect": runs, "seconds": seconds})


def _sample(peer: Waits, runs: int, idle: int, server: Sequence[int], model: Child) -> Waited:
    before = cpu_seconds([*peer.roots(), *server])
    with _watched(lambda: memory(peer.waiting_roots())) as seen:
        went = peer.go()
    cpu = cpu_seconds([*peer.roots(), *server]) - before
    told = model.ask({"tell": True})
    if went.steps != runs or told["answered"] != runs:
        raise WrongError(f"{peer.name}: {went.steps} steps, {told['answered']} answers of {runs}")
    return Waited(seconds=went.seconds, cpu=cpu, in_flight=told["peak"], idle=idle, peak=max(seen))


@contextlib.contextmanager
def _watched(look: Callable[[], int]) -> Iterator[list[int]]:
    """Look again and again while the block runs; gives what was seen."""
    seen, over = [look()], threading.Event()

    def watch() -> None:
        while not over.wait(LOOK_SECONDS):
            seen.append(look())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield seen
    finally:
        over.set()
        watcher.join()


def _told(name: str, sample: Waited) -> str:
    return (
        f"waits    {name:<10} {sample.in_flight:,} at once, {sample.cpu:.1f} s CPU,"
        f" {sample.mib_above_idle:.1f} MiB above idle, {sample.seconds:.1f} s"
    )
