"""One benchmark: servers, peers, rounds, report. Everything started here ends here."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Final

from agentops.bench.machine import describe
from agentops.bench.measure import postmaster, redis_server
from agentops.bench.peers import AgentOps, LangGraph, Layout, Peer, langgraph_database, product
from agentops.bench.report import PEER, Report
from agentops.bench.rounds import Rounds, Say, Workload
from agentops.processes import CONCURRENCY, PROCESSES
from agentops.servers import Servers, scratch

DEFAULT_WORKERS: Final = Layout(PROCESSES, CONCURRENCY)
TRIED: Final = tuple(Layout(*shape) for shape in ((1, 1), (1, 4), (2, 1), (2, 2), (2, 4), (2, 8)))
TRIALS: Final = 4
STRICT: Final = {"AGENTOPS_BURST_SUPER_STEPS": "1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command was asked for. Without `langgraph` its fastest layout is looked for."""

    runs: int = 200
    steps: int = 20
    rounds: int = 5
    peers: str = PEER
    workers: Layout = DEFAULT_WORKERS
    langgraph: Layout | None = None

    @property
    def workload(self) -> Workload:
        return Workload(runs=self.runs, steps=self.steps)


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
    database_pid: int | None = field(init=False)
    redis_pid: int | None = field(init=False)

    def __post_init__(self) -> None:
        self.database_pid = postmaster(self.servers.database_url)
        self.redis_pid = redis_server(self.servers.redis_url)

    def measured(self) -> Report:
        options = self.options
        rounds = Rounds(options.workload, self.database_pid, self.say)
        burst, strict, effects = self._agentops()
        peers: list[Peer] = [burst, strict, effects]
        layouts = {"agentops": options.workers}
        if options.peers == PEER:
            langgraph = self._langgraph(rounds)
            peers.append(langgraph)
            layouts[PEER] = langgraph.layout
        samples = rounds.play(peers, options.rounds)
        return Report(
            workload=options.workload,
            rounds=options.rounds,
            machine=describe(self.servers.database_url),
            samples={peer.name: samples[peer.name] for peer in peers},
            layouts=layouts,
            accept_ms=median(burst.accepting),
            counted=self._counted(),
        )

    def _agentops(self) -> tuple[AgentOps, AgentOps, AgentOps]:
        self.say(f"starting AgentOps twice, {self.options.workers} workers each")
        usual = self._product({})
        strict = self._product(STRICT)
        return (
            AgentOps("burst", usual, "w1"),
            AgentOps("strict", strict, "w1"),
            AgentOps("effects", usual, "w1e"),
        )

    def _product(self, settings: dict[str, str]) -> Any:
        made = product(self.servers, self.options.workers, self.redis_pid, settings)
        return self.stack.enter_context(made)

    def _langgraph(self, rounds: Rounds) -> LangGraph:
        start = self.stack.enter_context(langgraph_database(self.servers))
        layout = self.options.langgraph or self._fastest(start, rounds)
        made: LangGraph = self.stack.enter_context(start(layout))
        return made

    def _fastest(self, start: Callable[[Layout], Any], rounds: Rounds) -> Layout:
        """Find how many processes and threads make LangGraph fastest here."""
        with contextlib.ExitStack() as stack:
            peers = [stack.enter_context(start(layout)) for layout in TRIED]
            trials = [[rounds.warm_up(peer).rate for peer in peers] for _ in range(TRIALS)]
        best: dict[Layout, float] = {
            layout: max(rates) for layout, *rates in zip(TRIED, *trials, strict=True)
        }
        told = ", ".join(f"{layout}: {rate:,.0f}" for layout, rate in best.items())
        self.say(f"langgraph by processes x threads: {told} steps/s")
        return max(best, key=lambda layout: best[layout])

    def _counted(self) -> str:
        parts = ["the peer's own processes"]
        parts += ["PostgreSQL"] if self.database_pid is not None else []
        parts += ["Redis"] if self.redis_pid is not None else []
        return ", ".join(parts)
