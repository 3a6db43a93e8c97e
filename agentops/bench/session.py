"""One benchmark: servers, peers, workloads, report. Everything started here ends here."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from agentops.bench.machine import describe
from agentops.bench.measure import postmaster, redis_server
from agentops.bench.peers.base import Layout, MissingError, Peer, Resumes
from agentops.bench.peers.foreign import Foreign, Start, foreign
from agentops.bench.peers.product import AgentOps, Alone, Product, alone, product
from agentops.bench.peers.restate import restate
from agentops.bench.report import Found, Report
from agentops.bench.rounds import Rounds, Say, Workload
from agentops.bench.workloads.children import Joins, children
from agentops.bench.workloads.growth import growth
from agentops.bench.workloads.latency import latency
from agentops.bench.workloads.resume import resume
from agentops.bench.workloads.steps import Steps
from agentops.bench.workloads.waits import Waiting, Waits, waits
from agentops.servers import Servers, scratch
from agentops.workers import CONCURRENCY, PROCESSES

DEFAULT_WORKERS: Final = Layout(PROCESSES, CONCURRENCY)
TRIALS: Final = 2
STRICT: Final = {"AGENTOPS_BURST_SUPER_STEPS": "1"}
WORKLOADS: Final = ("w1", "w2", "w3", "growth", "resume", "latency")
WAIT_WORKERS: Final = Layout(1, CONCURRENCY)
ALONE: Final = Layout(1, 1)

TRIED: Final[Mapping[str, Sequence[Layout]]] = {
    "langgraph": [Layout(1, 1), Layout(1, 4), Layout(2, 2), Layout(2, 4), Layout(2, 8)],
    "dbos": [Layout(1, 4), Layout(2, 2), Layout(2, 4), Layout(2, 8)],
    "restate": [Layout(1, 16), Layout(1, 64), Layout(2, 32), Layout(2, 100)],
}
STARTERS: Final[Mapping[str, Callable[[Servers], AbstractContextManager[Start]]]] = {
    "langgraph": lambda servers: foreign("langgraph", servers),
    "dbos": lambda servers: foreign("dbos", servers),
    "restate": restate,
}
PEERS: Final = tuple(STARTERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command was asked for. A peer without a layout gets its fastest."""

    runs: int = 200
    steps: int = 20
    rounds: int = 5
    longest: int = 1000
    waiting: int = 1000
    workloads: Sequence[str] = WORKLOADS
    peers: Sequence[str] = PEERS
    workers: Layout = DEFAULT_WORKERS
    layouts: Mapping[str, Layout] = field(default_factory=dict)

    @property
    def workload(self) -> Workload:
        return Workload(runs=self.runs, steps=self.steps)

    @property
    def times(self) -> int:
        """How often a long workload is played."""
        return min(self.rounds, 3)

    @property
    def lengths(self) -> list[int]:
        """The lengths of runs whose bytes are measured: a tenth, three tenths, the longest."""
        return sorted({max(1, self.longest * part // 10) for part in (1, 3, 10)})


def bench(options: Options, say: Say) -> Report:
    """Measure, and say what was found.

    Raises:
        ServerUnavailable: the database or Redis cannot be started.
        ProcessFailed: a process cannot, or it ended early.
        WrongError: a peer did not do what it was asked to.
    """
    with scratch() as (_, servers):
        say(f"database  {servers.database_kind}")
        say(f"redis     {servers.redis_kind}")
        with contextlib.ExitStack() as stack:
            return Session(options, servers, say, stack).measured()


@dataclass
class Session:
    """The peers of one benchmark, all of them up until `stack` ends."""

    options: Options
    servers: Servers
    say: Say
    stack: contextlib.ExitStack
    missing: dict[str, str] = field(default_factory=dict)
    starts: dict[str, Start] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.database_pid = postmaster(self.servers.database_url)
        self.redis_pid = redis_server(self.servers.redis_url)
        self.rounds = Rounds(self.options.workload, self.database_pid, self.say)

    def measured(self) -> Report:
        self.say(f"starting AgentOps, {self.options.workers} workers")
        usual = self._product({})
        burst = AgentOps("burst", usual, "w1")
        others = list(self._others())
        found = dict(self._found(burst, others))
        return Report(
            workload=self.options.workload,
            rounds=self.options.rounds,
            machine=describe(self.servers.database_url),
            found=found,
            layouts={"agentops": burst.layout, **{peer.name: peer.layout for peer in others}},
            missing=self.missing,
            accept_ms=median(burst.accepting) if burst.accepting else None,
            counted=self._counted(),
        )

    def _found(self, burst: AgentOps, others: Sequence[Foreign]) -> Iterator[tuple[str, Found]]:
        asked = self.options
        peers: list[Peer] = [burst, *others]
        if "w1" in asked.workloads:
            yield "w1", self._steps(burst, others)
        if "w2" in asked.workloads:
            yield "w2", self._waits()
        if "w3" in asked.workloads:
            own: list[Joins] = [burst, *others]
            pid = self.database_pid
            yield "w3", children(own, times=asked.times, database_pid=pid, say=self.say)
        engine = self._alone()
        if "growth" in asked.workloads:
            lengths = asked.lengths
            yield "growth", growth(self.rounds, peers, engine, lengths=lengths, times=asked.times)
        if "resume" in asked.workloads:
            able: list[Resumes] = [engine, *(peer for peer in others if peer.database_url)]
            yield (
                "resume",
                resume(able, steps=asked.longest, times=asked.times, say=self.say),
            )
        if "latency" in asked.workloads:
            steps = min(asked.longest, 200)
            yield "latency", latency(peers, steps=steps, times=asked.rounds, say=self.say)

    def _steps(self, burst: AgentOps, others: Sequence[Foreign]) -> Steps:
        strict = AgentOps("strict", self._product(STRICT), "w1")
        effects = AgentOps("effects", burst.product, "w1e")
        peers: list[Peer] = [burst, strict, effects, *others]
        samples = self.rounds.play(peers, self.options.rounds)
        return Steps({peer.name: samples[peer.name] for peer in peers})

    def _waits(self) -> Waiting:
        """Have one worker process and, where it is measured, one process of LangGraph wait."""
        with contextlib.ExitStack() as stack:
            made = product(self.servers, WAIT_WORKERS, self.redis_pid, {})
            own = AgentOps("waits", stack.enter_context(made), "w2")
            peers: list[Waits] = [own]
            if "langgraph" in self.starts:
                peers.append(stack.enter_context(self.starts["langgraph"](ALONE)))
            return waits(
                peers,
                runs=self.options.waiting,
                times=self.options.times,
                database_pid=self.database_pid,
                logs=own.product.logs,
                say=self.say,
            )

    def _product(self, settings: dict[str, str]) -> Product:
        made = product(self.servers, self.options.workers, self.redis_pid, settings)
        return self.stack.enter_context(made)

    def _alone(self) -> Alone:
        return self.stack.enter_context(alone(self.servers))

    def _others(self) -> Iterator[Foreign]:
        """Start who can be started; say of the others why not."""
        for name in self.options.peers:
            try:
                start = self.stack.enter_context(STARTERS[name](self.servers))
            except MissingError as error:
                self.missing[name] = str(error)
                self.say(f"{name} is not measured: {error}")
                continue
            self.starts[name] = start
            layout = self.options.layouts.get(name) or self._fastest(name, start)
            yield self.stack.enter_context(start(layout))

    def _fastest(self, name: str, start: Start) -> Layout:
        """Find how many processes and threads make a peer fastest here."""
        best: dict[Layout, float] = {}
        for layout in TRIED[name]:
            with start(layout) as peer:
                self.rounds.warm_up(peer)
                best[layout] = max(self.rounds.warm_up(peer).rate for _ in range(TRIALS))
        told = ", ".join(f"{layout}: {rate:,.0f}" for layout, rate in best.items())
        self.say(f"{name} by processes x threads: {told} steps/s")
        return max(best, key=lambda layout: best[layout])

    def _counted(self) -> str:
        parts = ["the peer's own processes"]
        parts += ["PostgreSQL"] if self.database_pid is not None else []
        parts += ["Redis"] if self.redis_pid is not None else []
        return ", ".join(parts)
