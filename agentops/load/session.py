"""One load: bring the stage up, let the crowd submit, and see how long the other one waits."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any, Final

from agentops.child import Child
from agentops.load.clients import Client, Other, Told
from agentops.load.gauge import Gauge, Stand, wait_until
from agentops.processes import Processes, environment, migrate
from agentops.servers import free_port, scratch
from agentops.supervisor import Process, Supervisor
from agentops.workers import CONCURRENCY, PROCESSES

READY_SECONDS: Final = 120.0
PATIENCE_SECONDS: Final = 60.0
BATCH: Final = 100
CALM: Final = 5
"""Runs of the other tenant on the idle system, to compare with."""
CLIENTS: Final = 4
SURPLUS: Final = 100
"""So many runs at least the line is over its bound: more than begin before the first is refused."""
AGAIN: Final = "workers-again"

Say = Callable[[str], None]


class StalledError(Exception):
    """Nothing moves any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command was asked for. `http` of the runs are submitted over HTTP, at the end."""

    runs: int = 10_000
    http: int = 500
    steps: int = 3
    step: float = 0.1
    every: float = 2.0

    @property
    def run_input(self) -> dict[str, Any]:
        return {"steps": self.steps, "seconds": self.step}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was measured."""

    asked: Options
    gauge: Gauge
    crowd: Told
    calm: list[float]
    crowded: list[float]
    overtaken: list[int]
    before: Stand
    last: Stand
    seconds: float
    filled: float

    def line(self) -> str:
        """Say everything in one line of JSON."""
        most, slots = self.gauge.highest, PROCESSES * CONCURRENCY
        return json.dumps(
            {
                "runs": self.asked.runs,
                "ended": self.asked.runs - self.last.unfinished,
                "in_line_max": most.in_line,
                "other_tenant_runs": len(self.crowded),
                "other_tenant_start_seconds": _spread(self.crowded),
                "other_tenant_start_seconds_idle": _spread(self.calm),
                "overtaken_by_other_tenant_max": max(self.overtaken, default=0),
                "worker_slots": slots,
                "broker_messages_max": most.messages,
                "broker_messages_per_slot": round(most.messages / slots, 2),
                "refused": self.crowd.refused,
                "refused_with": sorted(self.crowd.codes),
                "retry_after_seconds": _spread(self.crowd.retry_after),
                "accepted_after_one_wait": self.crowd.first_time_after_waiting,
                "refused_after_waiting": self.crowd.again_after_waiting,
                "redis_memory_bytes_max": most.bytes,
                "redis_memory_bytes_growth": most.bytes - most.bytes_before,
                "steps_per_second": round((self.last.steps - self.before.steps) / self.seconds, 1),
                "seconds": round(self.seconds, 1),
                "seconds_to_fill": round(self.filled, 1),
            }
        )


def _spread(values: list[float]) -> dict[str, float] | None:
    if not values:
        return None
    return {"max": round(max(values), 3), "median": round(median(values), 3)}


@dataclass(frozen=True)
class Stage:
    """What is up: the crowd's helper, both tenants' clients, and the gauge."""

    crowd: Child
    clients: dict[str, Client]
    gauge: Gauge
    supervisor: Supervisor
    workers: Process

    def send_workers_home(self) -> None:
        """Stop the workers: what is submitted meanwhile waits."""
        self.supervisor.stop(self.workers.name)

    def call_workers_back(self) -> None:
        """Start workers again."""
        self.supervisor.start(replace(self.workers, name=AGAIN))
        self.supervisor.wait_ready(AGAIN, timeout=READY_SECONDS)


@contextlib.contextmanager
def stage() -> Iterator[Stage]:
    """Bring everything on.

    Raises:
        ServerUnavailable: the database or Redis cannot be started.
        ProcessFailed: a process cannot.
    """
    with contextlib.ExitStack() as stack:
        state, servers = stack.enter_context(scratch())
        port = free_port()
        variables = _variables(environment(servers, state, port=port))
        migrate(variables, state / "logs")
        supervisor = stack.enter_context(Supervisor(state / "run" / "load", state / "logs"))
        made = Processes(variables, supervisor.run)
        line = [sys.executable, "-m", "agentops.load.crowd"]
        crowd = stack.enter_context(Child("crowd", line, variables, logs=state / "logs"))
        names = crowd.hear()
        workers = made.workers()
        for process in (made.web(port), workers, made.sweeper()):
            supervisor.start(process)
        for name in ("web", "workers"):
            supervisor.wait_ready(name, timeout=READY_SECONDS)
        url = f"http://127.0.0.1:{port}"
        clients = {name: Client(url, names[f"{name}_key"]) for name in ("crowd", "other")}
        queue = f"{servers.redis_prefix}:runs"
        gauge = Gauge(servers.database_url, servers.redis_url, queue, names["crowd"])
        yield Stage(crowd, clients, stack.enter_context(gauge), supervisor, workers)


def _variables(made: dict[str, str]) -> dict[str, str]:
    return {
        **made,
        "AGENTOPS_DEBUG": "0",
        "AGENTOPS_AGENTS": "agentops/load/agents",
        "AGENTOPS_API_REQUESTS": "0",
    }


@dataclass
class Session:
    """One load under way."""

    asked: Options
    up: Stage
    say: Say
    told: Told = field(default_factory=Told)

    def play(self) -> Report:
        """Play it.

        Raises:
            StalledError: runs neither begin nor end.
        """
        calm = Other(self.up.clients["other"], 0.3, self.asked.run_input)
        for _ in range(CALM):
            calm.once()
            time.sleep(0.3)
        self.say(f"idle: {_spread(self._waited(calm))} s from request to start")
        filled = self._fill(self.asked.runs - self.asked.http)
        began, before = time.monotonic(), self.up.gauge.count()
        with Other(self.up.clients["other"], self.asked.every, self.asked.run_input) as other:
            self._submit()
            self._see_it_drain()
        seconds = time.monotonic() - began
        if other.failure is not None:
            raise other.failure
        return Report(
            asked=self.asked,
            gauge=self.up.gauge,
            crowd=self.told,
            calm=self._waited(calm),
            crowded=self._waited(other),
            overtaken=self.up.gauge.overtaken(list(other.sent)),
            before=before,
            last=self.up.gauge.count(),
            seconds=seconds,
            filled=filled,
        )

    def _submit(self) -> None:
        """Submit over HTTP what is left, against a bound that the line is over already."""
        in_line = self.up.gauge.count().in_line
        bound = max(min(in_line * 9 // 10, in_line - SURPLUS), 1)
        self.up.crowd.ask({"bound": bound})
        stop = threading.Event()
        with ThreadPoolExecutor(CLIENTS) as clients:
            insist = self.up.clients["crowd"].insist
            asked = [
                clients.submit(insist, self.asked.run_input, self.told, stop)
                for _ in range(self.asked.http)
            ]
            try:
                for one in asked:
                    one.result()
            finally:
                stop.set()

    def _fill(self, runs: int) -> float:
        """Fill the crowd's line in batches, while no worker is there; gives the seconds."""
        self.up.send_workers_home()
        began = time.monotonic()
        for left in range(runs, 0, -BATCH):
            self.up.crowd.ask({"fill": min(left, BATCH), "input": self.asked.run_input})
        seconds = time.monotonic() - began
        self.up.call_workers_back()
        self.say(f"{runs} runs were submitted in {seconds:.0f} s; {self.up.gauge.count()}")
        return seconds

    def _see_it_drain(self) -> None:
        said = time.monotonic()

        def is_over(stand: Stand) -> bool:
            nonlocal said
            if time.monotonic() - said > 10:  # noqa: PLR2004 - seconds
                said = time.monotonic()
                self.say(f"  {stand.in_line} in line, {stand.unfinished} not ended")
            return stand.runs >= self.asked.runs and not stand.unfinished

        if not wait_until(self.up.gauge, is_over, patience=PATIENCE_SECONDS):
            raise StalledError(f"nothing moved for {PATIENCE_SECONDS:g} s: {self.up.gauge.stand}")

    def _waited(self, other: Other) -> list[float]:
        """Give the seconds from each request to the start of its run.

        Raises:
            StalledError: one did not begin.
        """
        ids, until = list(other.sent), time.monotonic() + PATIENCE_SECONDS
        while set(starts := self.up.gauge.starts(ids)) < set(ids):
            if time.monotonic() > until:
                never = set(ids) - set(starts)
                raise StalledError(f"runs of the other tenant never began: {never}")
            time.sleep(0.1)
        return [starts[run] - sent for run, sent in other.sent.items()]


def load(asked: Options, say: Say) -> Report:
    """Put a load on and measure.

    Raises:
        ServerUnavailable: the database or Redis cannot be started.
        ProcessFailed: a process cannot, or it ended early.
        StalledError: runs neither begin nor end.
    """
    with stage() as up:
        return Session(asked, up, say).play()
