"""AgentOps itself: as it is deployed, and one engine alone in a process."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from agentops.bench.measure import Size, database_size, until_alone
from agentops.bench.peers.base import Layout, Trace, Went, WrongError
from agentops.child import Child
from agentops.processes import Processes, environment, migrate
from agentops.servers import Servers, scratch
from agentops.supervisor import Supervisor

READY_SECONDS: Final = 90.0
AGENTS: Final = "agentops/bench/agents"


@dataclass
class Product:
    """AgentOps as it is deployed: workers, a sweeper, Redis; and whoever submits runs."""

    database_url: str
    layout: Layout
    supervisor: Supervisor
    submitter: Child
    redis_pid: int | None
    logs: Path

    def waiting_roots(self) -> list[int]:
        """Give the nursery, below which the workers are."""
        return [status.pid for status in self.supervisor.status() if status.name == "workers"]

    def roots(self) -> list[int]:
        pids = [status.pid for status in self.supervisor.status()]
        own = [*pids, self.submitter.pid]
        return own if self.redis_pid is None else [*own, self.redis_pid]


@dataclass
class AgentOps:
    """One agent on one product."""

    name: str
    product: Product
    agent: str
    accepting: list[float] = field(default_factory=list)
    _steps: int = 0

    @property
    def database_url(self) -> str:
        return self.product.database_url

    @property
    def layout(self) -> Layout:
        return self.product.layout

    def size(self) -> Size:
        return database_size(self.database_url)

    def roots(self) -> list[int]:
        return self.product.roots()

    def prepare(self, runs: int, steps: int) -> None:
        """Have the runs accepted; nobody sees them before `go` commits them."""
        asked = {"agent": self.agent, "runs": runs, "steps": steps}
        answer = self.product.submitter.ask({"prepare": asked})
        self.accepting.append(1000 * answer["seconds"] / runs)
        self._steps = runs * steps

    def go(self) -> Went:
        answer = self.product.submitter.ask({"go": True})
        if answer["failed"] or answer["steps"] != self._steps:
            raise WrongError(
                f"{self.name}: {answer['failed']} runs failed, {answer['steps']} steps"
            )
        return Went(answer["seconds"], answer["steps"])

    def waiting_roots(self) -> list[int]:
        return self.product.waiting_roots()

    def prepare_to_wait(self, runs: int, url: str) -> None:
        """Have runs accepted that each ask the model server once; `go` plays them."""
        self.product.submitter.ask({"slow_model": url})
        self.prepare(runs, 1)

    def family(self, children: int) -> float:
        """Submit a run with so many children, and wait for it."""
        answer = self.product.submitter.ask({"family": children})
        if answer["failed"]:
            raise WrongError(f"{self.name}: a run with {children} children failed")
        seconds: float = answer["seconds"]
        return seconds

    def trace(self, steps: int) -> Trace:
        answer = self.product.submitter.ask({"trace": steps})
        return Trace(answer["gaps"], answer["first"])


@dataclass
class Alone:
    """One engine in one process, that no worker helps: it knows where its runs stand."""

    child: Child
    name: str = "agentops"

    def resume(self, steps: int) -> float:
        """Claim a run, load it with its whole history, and commit one step."""
        seconds: float = self.child.ask({"resume": steps})["seconds"]
        return seconds

    def load(self, steps: int) -> float:
        """Give the seconds to claim and load a run that stands at a checkpoint."""
        seconds: float = self.child.ask({"load": steps})["seconds"]
        return seconds


@contextlib.contextmanager
def product(
    servers: Servers, layout: Layout, redis_pid: int | None, settings: Mapping[str, str]
) -> Iterator[Product]:
    """Start workers and a sweeper on a database of their own; all of it is gone at the end."""
    with _migrated(servers, settings) as (state, variables, url), contextlib.ExitStack() as stack:
        supervisor = stack.enter_context(Supervisor(state / "run" / "bench", state / "logs"))
        made = Processes(variables, supervisor.run)
        supervisor.start(made.workers(layout.processes, concurrency=layout.threads))
        supervisor.start(made.sweeper())
        supervisor.wait_ready("workers", timeout=READY_SECONDS)
        submitter = stack.enter_context(_child("submit", state, variables))
        yield Product(url, layout, supervisor, submitter, redis_pid, state / "logs")


@contextlib.contextmanager
def alone(servers: Servers) -> Iterator[Alone]:
    """Have one engine on a database of its own, without workers and without a sweeper."""
    with (
        _migrated(servers, {}) as (state, variables, _),
        _child("alone", state, variables) as child,
    ):
        yield Alone(child)


@contextlib.contextmanager
def _migrated(
    servers: Servers, settings: Mapping[str, str]
) -> Iterator[tuple[Path, dict[str, str], str]]:
    """Have a database at the code's schema, and the environment of processes on it."""
    own = scratch(database_url=servers.database_url, redis_url=servers.redis_url)
    with own as (state, mine), contextlib.ExitStack() as stack:
        variables = {
            **environment(mine, state, port=0),
            "AGENTOPS_DEBUG": "0",
            "AGENTOPS_AGENTS": AGENTS,
            **settings,
        }
        migrate(variables, state / "logs")
        stack.callback(until_alone, mine.database_url)
        yield state, variables, mine.database_url


@contextlib.contextmanager
def _child(name: str, state: Path, variables: Mapping[str, str]) -> Iterator[Child]:
    line = [sys.executable, "-m", f"agentops.bench.{name}"]
    with Child(name, line, variables, logs=state / "logs") as child:
        child.hear()
        yield child
