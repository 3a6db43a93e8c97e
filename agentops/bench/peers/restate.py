"""Restate: its server, services in another environment, and whoever asks for runs."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from agentops.bench.peers.base import Layout, MissingError, WrongError
from agentops.bench.peers.foreign import PYTHON, Foreign, Start
from agentops.child import Child
from agentops.processes import CHECKOUT, answers
from agentops.servers import Servers, free_port, scratch
from agentops.supervisor import Process, Supervisor

NODE: Final = CHECKOUT / ".venv-bench" / "node" / "node_modules" / "@restatedev"
ARCHITECTURES: Final = {"x86_64": "x64", "aarch64": "arm64", "arm64": "arm64"}
READY_SECONDS: Final = 60.0


@dataclass
class Restate(Foreign):
    """Restate keeps a store of its own, in files made large beforehand: nothing to measure."""

    supervisor: Supervisor | None = None

    def roots(self) -> list[int]:
        served = [] if self.supervisor is None else self.supervisor.status()
        return [*super().roots(), *(status.pid for status in served)]


def server() -> Path:
    """Find the server's binary.

    Raises:
        MissingError: it is not installed.
    """
    system, machine = platform.system().lower(), ARCHITECTURES.get(platform.machine(), "")
    binary = NODE / f"restate-server-{system}-{machine}" / "bin" / "restate-server"
    if not binary.exists():
        raise MissingError("its server is not in .venv-bench/node; `make bench` installs it by npm")
    if not any(PYTHON.parent.parent.glob("lib/*/site-packages/restate")):
        raise MissingError("not in .venv-bench; `make bench` installs it")
    return binary


@contextlib.contextmanager
def restate(servers: Servers) -> Iterator[Start]:
    """Find the server; yields what starts one with so many services.

    Raises:
        MissingError: it is not installed.
    """
    binary = server()

    @contextlib.contextmanager
    def start(layout: Layout) -> Iterator[Foreign]:
        own = scratch(database_url=servers.database_url, redis_url=servers.redis_url)
        with own as (state, _), contextlib.ExitStack() as stack:
            supervisor = stack.enter_context(Supervisor(state / "run" / "restate", state / "logs"))
            ingress = _start(supervisor, binary, state / "restate", layout)
            names = ",".join(_services(layout))
            line = [str(PYTHON), "-m", "agentops.bench.foreign.restate_loop", str(ingress)]
            line += [names, str(layout.threads)]
            child = stack.enter_context(Child("restate", line, os.environ, logs=state / "logs"))
            child.hear()
            yield Restate("restate", layout, None, [child], supervisor=supervisor)

    yield start


def _services(layout: Layout) -> list[str]:
    return [f"Loop{number}" for number in range(layout.processes)]


def _start(supervisor: Supervisor, binary: Path, folder: Path, layout: Layout) -> int:
    """Start the server and its services, and make them known to it; give the ingress' port."""
    node, ingress, admin = free_port(), free_port(), free_port()
    settings = {
        "RESTATE_BIND_ADDRESS": f"127.0.0.1:{node}",
        "RESTATE_INGRESS__BIND_ADDRESS": f"127.0.0.1:{ingress}",
        "RESTATE_ADMIN__BIND_ADDRESS": f"127.0.0.1:{admin}",
        "RESTATE_LISTEN_MODE": "tcp",
        "RESTATE_LOG_FILTER": "warn",
        "DO_NOT_TRACK": "1",
    }
    supervisor.start(
        Process(
            name="restate-server",
            command=[str(binary), "--no-logo", "--base-dir", str(folder)],
            environment={**os.environ, **settings},
            folder=CHECKOUT,
            is_ready=lambda: answers(f"http://127.0.0.1:{admin}/health"),
        )
    )
    ports = {name: free_port() for name in _services(layout)}
    for name, port in ports.items():
        command = [str(PYTHON), "-m", "agentops.bench.foreign.restate_service", name, str(port)]
        supervisor.start(
            Process(name=name.lower(), command=command, environment=os.environ, folder=CHECKOUT)
        )
    supervisor.wait_ready("restate-server", timeout=READY_SECONDS)
    for port in ports.values():
        _register(admin, port)
    return ingress


def _register(admin: int, port: int) -> None:
    """Tell the server of a deployment; it asks it what it serves, again and again if need be."""
    asked = urllib.request.Request(
        f"http://127.0.0.1:{admin}/deployments",
        data=json.dumps({"uri": f"http://127.0.0.1:{port}"}).encode(),
        headers={"content-type": "application/json"},
    )
    try:
        with urllib.request.urlopen(asked, timeout=READY_SECONDS) as response:  # noqa: S310
            found: dict[str, Any] = json.load(response)
    except urllib.error.HTTPError as error:
        raise WrongError(f"restate refused its service: {error.read()[:300]!r}") from error
    if not found.get("services"):
        raise WrongError("restate found no service where there is one")
