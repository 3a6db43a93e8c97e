"""The order of work: from an empty state folder to a product that answers.

servers ─▶ migrate ─▶ web, workers, sweeper, Flower ─▶ seed ─▶ all ready ─▶ demo played
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from agentops import process_ids, processes
from agentops.dev.counts import Counts, NotSettled, count, settled
from agentops.dev.record import SHARED, Session
from agentops.processes import CHECKOUT, Processes, command
from agentops.servers import Servers, free_port
from agentops.supervisor import Supervisor
from agentops.workers import ready_workers

READY_SECONDS: Final = 60.0
PLAYED_SECONDS: Final = 8.0
DEMO_SECONDS: Final = 120.0
WEB_PORT: Final = 8000
FLOWER_PORT: Final = 5555

Say = Callable[[str], None]


class StepFailed(Exception):  # noqa: N818 - named as what happened
    """A command of the start ended with an error; the message holds what it printed."""


@dataclass(slots=True)
class Ticks:
    """Says each step of the start when it is done, and how long it took."""

    say: Say
    began: float = field(default_factory=time.monotonic)
    _last: float = field(default_factory=time.monotonic)

    def done(self, step: str, detail: str = "") -> None:
        now = time.monotonic()
        self.say(f"  ok  {step:<10}{detail:<52}{now - self._last:6.1f} s")
        self._last = now

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """A product that runs: what it was started with, and who keeps it alive."""

    state: Path
    servers: Servers
    environment: dict[str, str]
    supervisor: Supervisor
    web: str
    flower: str
    seed: dict[str, Any]

    def counts(self) -> Counts:
        return count(self.web, self.seed["api_key"])

    def kill_a_worker(self) -> tuple[str, int] | None:
        """Kill a random worker; return its name and the pid that is gone, or None."""
        workers = self.workers()
        if not workers:
            return None
        name = random.choice(list(workers))  # noqa: S311 - no secret
        os.kill(workers[name], signal.SIGKILL)
        return name, workers[name]

    def workers(self) -> dict[str, int]:
        """Give the process ids of the workers that take work, by name."""
        return ready_workers(self.supervisor.run)


@contextlib.contextmanager
def product(state: Path, servers: Servers, ticks: Ticks) -> Iterator[Product]:
    """Have the product up on these servers until the end of the `with` block.

    Raises:
        StepFailed: migrating or seeding went wrong.
        ProcessFailed: a process did not become ready.
    """
    ports = free_port([WEB_PORT]), free_port([FLOWER_PORT])
    environment = processes.environment(servers, state, port=ports[0])
    manage("migrate", "--verbosity", "0", environment=environment)
    ticks.done("migrate", "schema and roles are up to date")
    with Supervisor(state / "run", state / "logs") as supervisor:
        _start_all(supervisor, Processes(environment, state / "run"), *ports)
        seed = seeded(environment)
        ticks.done("seed", f"tenant {seed['tenant']}, its agents and its people")
        for status in supervisor.status():
            supervisor.wait_ready(status.name, timeout=READY_SECONDS)
        ticks.done("processes", ", ".join(status.name for status in supervisor.status()))
        yield Product(
            state=state,
            servers=servers,
            environment=environment,
            supervisor=supervisor,
            web=f"http://127.0.0.1:{ports[0]}",
            flower=f"http://127.0.0.1:{ports[1]}",
            seed=seed,
        )


def manage(*arguments: str, environment: dict[str, str]) -> str:
    """Run a management command of the product, and return what it printed.

    Raises:
        StepFailed: it ended with an error.
    """
    answer = subprocess.run(  # noqa: S603 - our own command line
        command(("manage.py", *arguments)),
        env=environment,
        cwd=CHECKOUT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode:
        printed = (answer.stdout + answer.stderr).strip()
        raise StepFailed(f"manage.py {' '.join(arguments)} failed:\n{printed}")
    return answer.stdout


def seeded(environment: dict[str, str]) -> dict[str, Any]:
    """Fill the database with the demo; return the one JSON object that `seed` ends with."""
    printed = manage("seed", environment=environment).strip()
    found: dict[str, Any] = json.loads(printed.splitlines()[-1])
    return found


def play_out(made: Product, *, timeout: float = PLAYED_SECONDS) -> Counts:
    """Let the demo's runs come to rest; go on without them when that takes too long."""
    try:
        return settled(made.counts, timeout=timeout)
    except NotSettled:
        return made.counts()


def record(made: Product, counts: Counts, seconds: float) -> Session:
    """Leave word of the session in the state folder, for `status` and other commands."""
    me = process_ids.identify(os.getpid())
    session = Session(
        pid=os.getpid(),
        started=me.started if me else "",
        environment={name: made.environment[name] for name in SHARED if name in made.environment},
        web=made.web,
        flower=made.flower,
        sign_in_path=made.seed["sign_in_path"],
        api_key=made.seed["api_key"],
        tenant=made.seed["tenant"],
        waiting=counts.waiting_for_person,
        servers=f"{made.servers.database_kind}, {made.servers.redis_kind}",
        data=shown(made.servers.data),
        model=_model(),
        seconds=seconds,
    )
    session.save(made.state)
    return session


def shown(path: Path) -> str:
    """Return a path as a person in the checkout would type it."""
    with contextlib.suppress(ValueError):
        return f"{path.relative_to(Path.cwd())}/"
    return f"{path}/"


def _start_all(supervisor: Supervisor, made: Processes, web_port: int, flower_port: int) -> None:
    for process in (
        made.web(web_port),
        made.workers(),
        made.sweeper(),
        made.flower(flower_port),
    ):
        supervisor.start(process)


def _model() -> str:
    return "scripted (no key needed)          real: manage.py model add --help"
