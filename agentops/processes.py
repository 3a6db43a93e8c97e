"""The processes of the product: what each is called, how it is started, when it is ready.

The one place where their command lines stand. docker-compose.yml repeats them with another host
and port, and a test compares the two.
"""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agentops.servers import Servers, secret
from agentops.supervisor import Process, ProcessFailed
from agentops.workers import CONCURRENCY, PROCESSES, ready_workers

CHECKOUT: Final = Path(__file__).resolve().parent.parent
LIVE_PATH: Final = "/api/v1/health"
ROLE: Final = "AGENTOPS_DATABASE_ROLE"
SERVER_ERROR: Final = 500

WEB: Final = (
    *("-m", "uvicorn", "agentops.asgi:application"),
    *("--host", "{host}", "--port", "{port}", "--no-access-log"),
)
WORKERS: Final = (
    *("-m", "agentops.workers", "--processes", "{processes}", "--concurrency", "{concurrency}"),
)
SWEEPER: Final = ("manage.py", "sweep")
FLOWER: Final = ("-m", "celery", "-A", "agentops", "flower", "--address={host}", "--port={port}")


@dataclass(frozen=True, slots=True)
class Processes:
    """Makes the product's processes for one environment; `run` holds their ready files."""

    environment: Mapping[str, str]
    run: Path

    def web(self, port: int) -> Process:
        return Process(
            name="web",
            command=command(WEB, host="127.0.0.1", port=str(port)),
            environment=self.environment,
            folder=CHECKOUT,
            is_ready=lambda: answers(f"http://127.0.0.1:{port}{LIVE_PATH}"),
        )

    def workers(self, processes: int = PROCESSES, *, concurrency: int = CONCURRENCY) -> Process:
        """Make the nursery of so many workers; ready when every one of them takes work."""
        line = command(WORKERS, processes=str(processes), concurrency=str(concurrency))
        return Process(
            name="workers",
            command=[*line, "--ready-folder", str(self.run)],
            environment=self.environment,
            folder=CHECKOUT,
            before_start=self._forget_workers,
            grace_seconds=float(self.environment.get("AGENTOPS_GRACE_SECONDS") or 8) + 2,
            is_ready=lambda: len(ready_workers(self.run)) == processes,
        )

    def _forget_workers(self) -> None:
        for left in self.run.glob("worker-*.ready"):
            left.unlink(missing_ok=True)

    def sweeper(self) -> Process:
        return Process(
            name="sweeper",
            command=command(SWEEPER),
            environment=self.environment,
            folder=CHECKOUT,
        )

    def flower(self, port: int) -> Process:
        return Process(
            name="flower",
            command=command(FLOWER, host="127.0.0.1", port=str(port)),
            environment=self.environment,
            folder=CHECKOUT,
            is_ready=lambda: answers(f"http://127.0.0.1:{port}/"),
        )


def command(line: Sequence[str], **values: str) -> list[str]:
    """Fill a command line in, for this Python."""
    return [sys.executable, *(part.format(**values) for part in line)]


def environment(servers: Servers, state: Path, *, port: int) -> dict[str, str]:
    """Return the environment of a product for development.

    The database role is left out: each process takes the one that is its own.
    """
    inherited = {name: value for name, value in os.environ.items() if name != ROLE}
    return {
        **inherited,
        **servers.environment(),
        "AGENTOPS_STATE": str(state),
        "AGENTOPS_DEBUG": inherited.get("AGENTOPS_DEBUG", "1"),
        "AGENTOPS_SECRET_KEY": inherited.get("AGENTOPS_SECRET_KEY") or secret(state, "secret key"),
        "AGENTOPS_SESSION_COOKIE": f"agentops_session_{port}",
        "AGENTOPS_PUBLIC_URL": inherited.get("AGENTOPS_PUBLIC_URL") or f"http://127.0.0.1:{port}",
        "PYTHONUNBUFFERED": "1",
    }


def answers(url: str) -> bool:
    """Tell whether a web server is up: any answer below 500 will do."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310 - our own http URL
            return bool(response.status < SERVER_ERROR)
    except urllib.error.HTTPError as error:
        return error.code < SERVER_ERROR
    except OSError:
        return False


def migrate(variables: Mapping[str, str], logs: Path) -> None:
    """Bring the database to the code's schema.

    Raises:
        ProcessFailed: it cannot be done; the log says why.
    """
    command = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
    run_once("migrate", command, {**variables, ROLE: "system"}, logs=logs)


def run_once(
    name: str, command: Sequence[str], variables: Mapping[str, str], *, logs: Path
) -> None:
    """Run a command to its end.

    Raises:
        ProcessFailed: it ended badly.
    """
    log = logs / f"{name}.log"
    with log.open("ab") as output:
        code = subprocess.call(  # noqa: S603 - our own command lines
            command, env=dict(variables), cwd=CHECKOUT, stdout=output, stderr=output
        )
    if code:
        raise ProcessFailed(name, f"failed with status {code}", log)
