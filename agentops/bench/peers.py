"""Who is measured. A peer has a database of its own on the one PostgreSQL.

prepare(runs, steps)   everything before the clock
go()                   plays them; gives seconds and super-steps
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

from agentops.bench.child import Child
from agentops.bench.measure import until_alone
from agentops.processes import CHECKOUT, ROLE, Processes, environment
from agentops.servers import Servers, scratch
from agentops.supervisor import ProcessFailed, Supervisor

READY_SECONDS: Final = 90.0
AGENTS: Final = "agentops/bench/agents"
LOOP: Final = CHECKOUT / "agentops" / "bench" / "langgraph_loop.py"
OTHER_PYTHON: Final = CHECKOUT / ".venv-bench" / "bin" / "python"


@dataclass(frozen=True, slots=True)
class Layout:
    """So many processes of so many threads."""

    processes: int
    threads: int

    def __str__(self) -> str:
        return f"{self.processes}x{self.threads}"


@dataclass(frozen=True, slots=True)
class Went:
    """How long it took, and how many super-steps were committed."""

    seconds: float
    steps: int

    @property
    def rate(self) -> float:
        """Give super-steps per second."""
        return self.steps / self.seconds


class Peer(Protocol):
    """Something that plays the workload."""

    @property
    def name(self) -> str: ...

    @property
    def database_url(self) -> str: ...

    def roots(self) -> list[int]:
        """Give the processes whose CPU is this peer's, beside the database server's."""
        ...

    def prepare(self, runs: int, steps: int) -> None: ...

    def go(self) -> Went: ...


class WrongError(Exception):
    """A peer did not do what it was asked to; its figures would mean nothing."""


@dataclass
class Product:
    """AgentOps as it is deployed: workers, a sweeper, Redis; and whoever submits runs."""

    database_url: str
    supervisor: Supervisor
    submitter: Child
    redis_pid: int | None

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


@dataclass
class LangGraph:
    """LangGraph with its PostgreSQL saver, in as many processes and threads as given."""

    layout: Layout
    database_url: str
    children: Sequence[Child]
    name: str = "langgraph"
    _asked: list[dict[str, int]] = field(default_factory=list)

    def roots(self) -> list[int]:
        return [child.pid for child in self.children]

    def prepare(self, runs: int, steps: int) -> None:
        count = len(self.children)
        shares = [runs // count + (number < runs % count) for number in range(count)]
        self._asked = [{"runs": share, "steps": steps} for share in shares]

    def go(self) -> Went:
        began = time.monotonic()
        for child, asked in zip(self.children, self._asked, strict=True):
            child.tell(asked)
        steps = sum(child.hear()["steps"] for child in self.children)
        wanted = sum(asked["runs"] * asked["steps"] for asked in self._asked)
        if steps != wanted:
            raise WrongError(f"{self.name}: {steps} steps instead of {wanted}")
        return Went(time.monotonic() - began, steps)


@contextlib.contextmanager
def product(
    servers: Servers, layout: Layout, redis_pid: int | None, settings: Mapping[str, str]
) -> Iterator[Product]:
    """Start workers and a sweeper on a database of their own; all of it is gone at the end."""
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
        supervisor = stack.enter_context(Supervisor(state / "run" / "bench", state / "logs"))
        _start(supervisor, Processes(variables, supervisor.run), layout)
        line = [sys.executable, "-m", "agentops.bench.submit"]
        child = stack.enter_context(Child("submit", line, variables, logs=state / "logs"))
        child.hear()
        yield Product(mine.database_url, supervisor, child, redis_pid)


def migrate(variables: Mapping[str, str], logs: Path) -> None:
    """Bring the database to the code's schema."""
    command = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
    _once("migrate", command, {**variables, ROLE: "system"}, logs=logs)


def _start(supervisor: Supervisor, made: Processes, layout: Layout) -> None:
    supervisor.start(made.workers(layout.processes, concurrency=layout.threads))
    supervisor.start(made.sweeper())
    supervisor.wait_ready("workers", timeout=READY_SECONDS)


@contextlib.contextmanager
def langgraph_database(servers: Servers) -> Iterator[Callable[[Layout], Any]]:
    """Have a database with the saver's tables; yields what starts a peer on it.

    Raises:
        WrongError: LangGraph's environment is not there.
    """
    if not OTHER_PYTHON.exists():
        raise WrongError("LangGraph is not installed: use `make bench`, or --peers none")
    own = scratch(database_url=servers.database_url, redis_url=servers.redis_url)
    with own as (state, mine):
        logs = state / "logs"
        line = [str(OTHER_PYTHON), "-P", str(LOOP), mine.database_url]
        _once("langgraph-setup", [*line, "setup"], dict(os.environ), logs=logs)
        yield partial(_langgraph, mine.database_url, line, logs)


@contextlib.contextmanager
def _langgraph(
    database_url: str, line: Sequence[str], logs: Path, layout: Layout
) -> Iterator[LangGraph]:
    with contextlib.ExitStack() as stack:
        children = [
            stack.enter_context(
                Child(f"langgraph-{n}", [*line, str(layout.threads)], os.environ, logs=logs)
            )
            for n in range(layout.processes)
        ]
        implementations = {child.hear()["psycopg"] for child in children}
        if implementations != {"binary"}:
            raise WrongError("LangGraph's psycopg is not the compiled one; that would be unfair")
        yield LangGraph(layout, database_url, children)


def _once(name: str, command: Sequence[str], variables: Mapping[str, str], *, logs: Path) -> None:
    log = logs / f"{name}.log"
    with log.open("ab") as output:
        code = subprocess.call(  # noqa: S603 - our own command lines
            command, env=dict(variables), cwd=CHECKOUT, stdout=output, stderr=output
        )
    if code:
        raise ProcessFailed(name, f"failed with status {code}", log)
