"""The cast: every process of a play, and the order in which they come on.

database ─▶ tools, model ─▶ set-up ─▶ web, sweeper, workers
"""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from agentops.play import model_server, setup, tool_server
from agentops.play.kept import Kept
from agentops.play.workload import Workload
from agentops.processes import CHECKOUT, ROLE, Processes, answers, command, environment
from agentops.servers import Servers
from agentops.supervisor import Process, ProcessFailed, Supervisor
from agentops.workers import ready_workers

WORKERS: Final = 3
READY_SECONDS: Final = 90.0
LARGEST_BODY: Final = 64 * 1024 * 1024
TOOL_PATIENCE_SECONDS: Final = 60.0

TOOLS: Final = ("-m", "agentops.play.tool_server", "--data", "{data}")
MODEL: Final = ("-m", "agentops.play.model_server")
OUTSIDE: Final = ("--workload", "{workload}", "--port", "{port}", "--latency", "{latency}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the cast plays, and how."""

    path: Path
    workload: Workload
    approve_writes: bool
    model_latency: float
    tool_latency: float
    blunt: bool


@dataclass
class Cast:
    """The processes of one play. The supervisor ends them all."""

    parts: Parts
    kept: Kept
    servers: Servers
    supervisor: Supervisor
    ports: dict[str, int] = field(init=False)
    processes: dict[str, Process] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.ports = self.kept.ports(["web", "tools", "model"])

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.ports[name]}"

    @property
    def admin_key(self) -> str:
        return self.kept.secret("play admin")

    def start(self) -> str:
        """Bring everyone on, and return the API key that the play's customer uses.

        Raises:
            ProcessFailed: somebody did not come on.
        """
        self._once("migrate", "manage.py", "migrate", "--verbosity", "0")
        self._start([self._tools(), self._model()])
        self._name_known_runs()
        api_key = self._set_up()
        made = Processes(self._environment(), self.supervisor.run)
        self._start([made.web(self.ports["web"]), made.sweeper(), made.workers(WORKERS)])
        return api_key

    def workers(self) -> dict[str, int]:
        """Give the process ids of the workers that take work, by name."""
        return ready_workers(self.supervisor.run)

    def _start(self, processes: Sequence[Process]) -> None:
        for process in processes:
            self.processes[process.name] = process
            self.supervisor.start(process)
        for process in processes:
            self.supervisor.wait_ready(process.name, timeout=READY_SECONDS)

    def _environment(self) -> dict[str, str]:
        return {
            **environment(self.servers, self.kept.state, port=self.ports["web"]),
            "AGENTOPS_DEBUG": "0",
            "AGENTOPS_AGENTS": "",
            "AGENTOPS_MAX_BODY_BYTES": str(LARGEST_BODY),
        }

    def _tools(self) -> Process:
        parts = self.parts
        blunt = ("--blunt",) if parts.blunt else ()
        line = command(
            (*TOOLS, *OUTSIDE, *blunt),
            data=str(self.kept.folder),
            workload=str(parts.path),
            port=str(self.ports["tools"]),
            latency=str(parts.tool_latency),
        )
        return self._outside("tools", line)

    def _model(self) -> Process:
        parts = self.parts
        line = command(
            (*MODEL, *OUTSIDE),
            workload=str(parts.path),
            port=str(self.ports["model"]),
            latency=str(parts.model_latency),
        )
        return self._outside("model", line)

    def _outside(self, name: str, line: list[str]) -> Process:
        keys = {
            tool_server.TOOL_KEY: self.kept.secret("play tools"),
            model_server.MODEL_KEY: self.kept.secret("play model"),
            tool_server.ADMIN_KEY: self.admin_key,
        }
        return Process(
            name=name,
            command=line,
            environment={**os.environ, **keys},
            folder=CHECKOUT,
            is_ready=lambda: answers(f"{self.url(name)}/health"),
        )

    def _name_known_runs(self) -> None:
        """Tell the model server which runs the tool server has been told of."""
        known = json.loads(self._admin("GET", f"{self.url('tools')}/runs"))
        for run, task in known.items():
            body = json.dumps({"run_id": run, "task": task}).encode()
            self._admin("POST", f"{self.url('model')}/runs", body)

    def _admin(self, method: str, url: str, body: bytes | None = None) -> bytes:
        headers = {"Authorization": f"Bearer {self.admin_key}", "Content-Type": "application/json"}
        request = urllib.request.Request(url, body, headers, method=method)  # noqa: S310 - ours
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - our own URL
            content: bytes = answer.read()
            return content

    def _set_up(self) -> str:
        workload, parts = self.parts.workload, self.parts
        wanted = setup.Wanted(
            tools_url=f"{self.url('tools')}/mcp",
            tools_key=self.kept.secret("play tools"),
            tools=setup.effect_classes(workload, blunt=parts.blunt),
            model_url=f"{self.url('model')}/v1",
            model_key=self.kept.secret("play model"),
            api_key=self.kept.api_key,
            approve_writes=parts.approve_writes,
            max_super_steps=2 * workload.most_actions + 10,
            max_repeats=workload.longest_repetition + 1,
            call_timeout=TOOL_PATIENCE_SECONDS + 3 * max(parts.tool_latency, parts.model_latency),
        )
        said = self._once("set-up", "manage.py", "play_setup", text=wanted.text())
        api_key: str = json.loads(said.splitlines()[-1])["api_key"]
        self.kept.keep_api_key(api_key)
        return api_key

    def _once(self, name: str, *line: str, text: str = "") -> str:
        """Run a command of the product to its end, as the system, and return what it printed."""
        log = self.supervisor.logs / f"{name}.log"
        with log.open("w", encoding="utf-8") as errors:
            done = subprocess.run(  # noqa: S603 - our own command lines
                [sys.executable, *line],
                env={**self._environment(), ROLE: "system"},
                cwd=CHECKOUT,
                input=text,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                check=False,
            )
        if done.returncode:
            raise ProcessFailed(name, f"failed with status {done.returncode}", log)
        return done.stdout
