"""The stage of a storm: everything is up until its `with` ends, and nothing is left after it.

product (web, two nurseries, sweeper) ──▶ proxies ──▶ PostgreSQL, Redis
driver (people) ──▶ web, to start runs; all else past the proxies
"""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from agentops.child import Child
from agentops.processes import CHECKOUT, LIVE_PATH, Processes, answers, environment, migrate
from agentops.proving.stage import NURSERY, OUTSIDE
from agentops.servers import Servers, free_port, scratch
from agentops.storm.facts import Eyes
from agentops.storm.proxy import Proxy
from agentops.storm.skewed import SHIFT
from agentops.supervisor import Process, Supervisor
from agentops.workers import ready_workers
from runs.faults import VARIABLE

READY_SECONDS: Final = 120.0
LATENCY_SECONDS: Final = 0.15
AGENTS: Final = "agentops/proving/agents,agentops/storm/agents"
NURSERIES: Final = {"workers": 2, "skewed": 1}
"""How many workers each nursery keeps. The clock of `skewed` is wrong."""
WEB: Final = "AGENTOPS_STORM_WEB"
ACCEPTED: Final = "nudge.committed"
"""The fault point between a request's commit and its message."""


@dataclass
class Stage:
    """Servers, proxies, processes of the product, and who acts for people."""

    state: Path
    servers: Servers
    supervisor: Supervisor
    database: Proxy
    redis: Proxy
    environments: dict[str, dict[str, str]]
    driver: Child
    eyes: Eyes

    def workers(self, nursery: str = "") -> dict[str, int]:
        """Give the process ids of the workers that take work, by name."""
        names = [nursery] if nursery else list(NURSERIES)
        folders = {name: self.supervisor.run / name for name in names}
        return {
            f"{name}/{worker}": pid
            for name, folder in folders.items()
            for worker, pid in ready_workers(folder).items()
        }

    def pid(self, name: str) -> int:
        """Give the process id of a supervised process."""
        return next(each.pid for each in self.supervisor.status() if each.name == name)

    def has(self, name: str) -> bool:
        """Say whether a process is supervised now."""
        return any(each.name == name for each in self.supervisor.status())

    def web_answers(self) -> bool:
        """Say whether the web process is up again since it was hit."""
        return answers(f"{self.environments['driver'][WEB]}{LIVE_PATH}")

    def sweep(self, name: str) -> None:
        """Have a sweeper of this name; it ends without a word when it is stopped."""
        made = Processes(self.environments["workers"], self.supervisor.run).sweeper()
        self.supervisor.start(replace(made, name=name, stop_signal=signal.SIGKILL))

    def end_after_accepting(self) -> int:
        """Have the web process killed when it has accepted once more; gives the hit it dies at."""
        number = self.accepted_by_armed() + 1
        (self._faults / "kill").write_text(f"{ACCEPTED} {number}", "utf-8")
        return number

    def accepted_by_armed(self) -> int:
        """Count how often the armed web process stood between commit and message."""
        try:
            return (self._faults / "hits").read_text("utf-8").split().count(ACCEPTED)
        except OSError:
            return 0

    @property
    def _faults(self) -> Path:
        return Path(self.environments["web"][VARIABLE])

    def outside(self) -> list[dict[str, Any]]:
        """Read the outside's ledger."""
        url = f"{self.environments['driver'][OUTSIDE]}/ledger"
        with urllib.request.urlopen(url, timeout=20) as answer:  # noqa: S310 - ours
            rows: list[dict[str, Any]] = json.load(answer)
            return rows


@contextlib.contextmanager
def stage() -> Iterator[Stage]:
    """Bring everything on.

    Raises:
        ServerUnavailable: the database or Redis cannot be started.
        ProcessFailed: a process cannot.
    """
    with contextlib.ExitStack() as stack:
        state, servers = stack.enter_context(scratch())
        direct = _variables(state, servers)
        migrate(direct, state / "logs")
        database = stack.enter_context(_before(servers.database_url, 5432, postgres=True))
        redis = stack.enter_context(_before(servers.redis_url, 6379))
        proxied = {
            **direct,
            "DATABASE_URL": _through(servers.database_url, database),
            "REDIS_URL": _through(servers.redis_url, redis),
        }
        faults, port = state / "faults", free_port()
        faults.mkdir()
        environments = {
            "driver": {**direct, WEB: f"http://127.0.0.1:{port}"},
            "web": {**proxied, VARIABLE: str(faults)},
            "workers": proxied,
            "skewed": {**proxied, SHIFT: "0"},
        }
        supervisor = stack.enter_context(Supervisor(state / "run" / "storm", state / "logs"))
        supervisor.start(_outside(state, direct))
        supervisor.wait_ready("outside", timeout=READY_SECONDS)
        line = [sys.executable, "-m", "agentops.storm.driver"]
        driver = stack.enter_context(
            Child("driver", line, environments["driver"], logs=state / "logs")
        )
        eyes = Eyes(servers.database_url, driver.hear()["ready"])
        stack.callback(eyes.close)
        made = Stage(state, servers, supervisor, database, redis, environments, driver, eyes)
        _start(made, port)
        yield made


def _variables(state: Path, servers: Servers) -> dict[str, str]:
    return {
        **environment(servers, state, port=0),
        "AGENTOPS_DEBUG": "0",
        "AGENTOPS_DATABASE_GONE_SECONDS": "3",
        "AGENTOPS_BREAKER_SECONDS": "0.5",  # they open here, too: nobody waits half a minute
        "AGENTOPS_AGENTS": AGENTS,
        OUTSIDE: f"http://127.0.0.1:{free_port()}",
    }


def _before(url: str, default: int, *, postgres: bool = False) -> Proxy:
    parts = urlsplit(url)
    return Proxy(parts.hostname or "127.0.0.1", parts.port or default, postgres=postgres)


def _through(url: str, proxy: Proxy) -> str:
    """Give the URL of the same server by way of a proxy."""
    parts = urlsplit(url)
    who, at, _ = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{who}{at}127.0.0.1:{proxy.port}"))


def _start(made: Stage, port: int) -> None:
    supervisor, environments = made.supervisor, made.environments
    supervisor.start(Processes(environments["web"], supervisor.run).web(port))
    for name, count in NURSERIES.items():
        folder = supervisor.run / name
        folder.mkdir()
        nursery = Processes(environments[name], folder).workers(count)
        if SHIFT in environments[name]:
            nursery = replace(nursery, command=_with_a_wrong_clock(nursery.command))
        supervisor.start(replace(nursery, name=name))
    made.sweep("sweeper")
    for name in (*NURSERIES, "web"):
        supervisor.wait_ready(name, timeout=READY_SECONDS)


def _with_a_wrong_clock(command: Sequence[str]) -> list[str]:
    return ["agentops.storm.skewed" if part == NURSERY else part for part in command]


def _outside(state: Path, variables: dict[str, str]) -> Process:
    port = urlsplit(variables[OUTSIDE]).port
    line = ["-m", "agentops.proving.outside", "--data", str(state / "outside.sqlite3")]
    return Process(
        name="outside",
        command=[sys.executable, *line, "--port", str(port), "--latency", str(LATENCY_SECONDS)],
        environment=variables,
        folder=CHECKOUT,
        is_ready=lambda: answers(f"{variables[OUTSIDE]}/health"),
    )
