"""The stage of a proof: servers, workers, a sweeper, the outside, and the driver."""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from agentops.child import Child
from agentops.processes import CHECKOUT, Processes, answers, environment, migrate
from agentops.servers import Servers, free_port, scratch
from agentops.supervisor import Process, ProcessFailed, Supervisor

READY_SECONDS: Final = 90.0
LOOK_SECONDS: Final = 0.1
PATIENCE_SECONDS: Final = 45.0
TRIES: Final = 4
FINAL: Final = frozenset({"succeeded", "failed", "cancelled", "expired"})
AGENTS: Final = (
    "chain",
    "fan",
    "many",
    "asks",
    "poor",
    "late",
    "sleeper",
    "doubtful",
    "family",
    "clan",
    "clerk",
)
NURSERY: Final = "agentops.workers"
OUTSIDE: Final = "AGENTOPS_PROVING_OUTSIDE"


class StalledError(Exception):
    """Runs neither end nor go on."""


@dataclass
class Stage:
    """Everything of a proof, up until its `with` ends."""

    state: Path
    servers: Servers
    supervisor: Supervisor
    processes: Processes
    environment: Mapping[str, str]
    stack: contextlib.ExitStack
    _driver: list[Child] = field(default_factory=list)

    def ask(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Ask the driver; one that dies is replaced and asked the same again."""
        for last in range(TRIES):
            try:
                return self._child().ask(asked)
            except ProcessFailed:
                self._driver.clear()
                if last == TRIES - 1:
                    raise
        raise AssertionError

    def _child(self) -> Child:
        if not self._driver:
            line = [sys.executable, "-m", "agentops.proving.driver"]
            child = Child("driver", line, self.environment, logs=self.state / "logs")
            self.stack.enter_context(child)
            child.hear()
            self._driver.append(child)
        return self._driver[0]

    def start(self, play: str, agents: Sequence[str] = AGENTS) -> dict[str, str]:
        """Start a run of each agent for a play; gives their ids by agent."""
        ids = self.ask({"start": {f"{play}/{agent}": agent for agent in agents}})
        return {agent: ids[f"{play}/{agent}"] for agent in agents}

    def finish(self, ids: Sequence[str], *, patience: float = PATIENCE_SECONDS) -> None:
        """Play the person until every run has ended.

        Raises:
            StalledError: some did not within `patience` seconds.
        """
        until = time.monotonic() + patience
        while True:
            states = self.ask({"tend": list(ids)})
            if set(states.values()) <= FINAL:
                return
            if time.monotonic() > until:
                raise StalledError(f"not ended within {patience:g} s: {states}")
            time.sleep(LOOK_SECONDS)

    def ends(self, ids: Sequence[str]) -> dict[str, Any]:
        """Read how runs ended."""
        return self.ask({"ends": list(ids)})

    def forget_files(self) -> None:
        """Remove the bytes of all files, so that what a play names it has kept itself."""
        shutil.rmtree(self.state / "artifacts", ignore_errors=True)

    def outside(self) -> dict[str, list[dict[str, Any]]]:
        """Read the outside's ledger, by run."""
        with urllib.request.urlopen(f"{self.environment[OUTSIDE]}/ledger", timeout=20) as answer:  # noqa: S310 - ours
            found: dict[str, list[dict[str, Any]]] = {}
            for row in json.load(answer):
                found.setdefault(row["run"], []).append(row)
            return found


@contextlib.contextmanager
def stage(
    settings: Mapping[str, str],
    *,
    workers: int = 2,
    threads: int = 8,
    nursery: str = NURSERY,
) -> Iterator[Stage]:
    """Bring everything on; `settings` are variables of the product's processes.

    `nursery` is the module that keeps the workers, for one that is wrong in some way.

    Raises:
        ServerUnavailable: the database or Redis cannot be started.
        ProcessFailed: a process cannot.
    """
    with contextlib.ExitStack() as stack:
        state, servers = stack.enter_context(scratch())
        port = free_port()
        variables = {
            **environment(servers, state, port=0),
            "AGENTOPS_DEBUG": "0",
            "AGENTOPS_BREAKER_SECONDS": "0.5",  # they open here, too: nobody waits half a minute
            "AGENTOPS_AGENTS": "agentops/proving/agents",
            OUTSIDE: f"http://127.0.0.1:{port}",
            "AGENTOPS_ARTIFACTS": str(state / "artifacts"),
            "AGENTOPS_ARTIFACTS_BACKEND": "runs.artifacts.directory.Directory",
            "AGENTOPS_ARTIFACTS_OPTIONS": "",
            **settings,
        }
        migrate(variables, state / "logs")
        supervisor = stack.enter_context(Supervisor(state / "run" / "proof", state / "logs"))
        supervisor.start(_outside(state, port, variables))
        supervisor.wait_ready("outside", timeout=READY_SECONDS)
        made = Processes(variables, supervisor.run)
        with contextlib.ExitStack() as children:
            shown = Stage(state, servers, supervisor, made, variables, children)
            shown.ask({"tend": []})
            kept = made.workers(workers, concurrency=threads)
            line = [nursery if part == NURSERY else part for part in kept.command]
            supervisor.start(replace(kept, command=line))
            supervisor.start(made.sweeper())
            supervisor.wait_ready("workers", timeout=READY_SECONDS)
            yield shown


def _outside(state: Path, port: int, variables: Mapping[str, str]) -> Process:
    line = ["-m", "agentops.proving.outside", "--data", str(state / "outside.sqlite3")]
    return Process(
        name="outside",
        command=[sys.executable, *line, "--port", str(port)],
        environment=variables,
        folder=CHECKOUT,
        is_ready=lambda: answers(f"{variables[OUTSIDE]}/health"),
    )
