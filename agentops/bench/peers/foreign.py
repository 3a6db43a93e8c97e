"""LangGraph and DBOS: processes of another environment that play runs in their threads."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Final

from agentops.bench.measure import Size, database_size
from agentops.bench.peers.base import Layout, MissingError, Trace, Went, WrongError
from agentops.child import Child
from agentops.processes import CHECKOUT, run_once
from agentops.servers import Servers, scratch

PYTHON: Final = CHECKOUT / ".venv-bench" / "bin" / "python"

Start = Callable[[Layout], AbstractContextManager["Foreign"]]


@dataclass
class Foreign:
    """An engine in as many processes and threads as given."""

    name: str
    layout: Layout
    database_url: str | None
    children: Sequence[Child]
    _asked: list[dict[str, Any]] = field(default_factory=list)

    def size(self) -> Size:
        return Size(0, 0) if self.database_url is None else database_size(self.database_url)

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

    def waiting_roots(self) -> list[int]:
        return [self.children[0].pid]

    def prepare_to_wait(self, runs: int, url: str) -> None:
        """Have runs ready that each ask the model server once; `go` plays them, in one process."""
        if len(self.children) != 1:
            raise WrongError(f"{self.name} waits in one process, not in {len(self.children)}")
        self._asked = [{"wait": runs, "url": url, "runs": runs, "steps": 1}]

    def family(self, children: int) -> float:
        seconds: float = self.children[0].ask({"family": children})["seconds"]
        return seconds

    def trace(self, steps: int) -> Trace:
        return Trace(self.children[0].ask({"trace": steps})["gaps"])

    def resume(self, steps: int) -> float:
        seconds: float = self.children[0].ask({"resume": steps})["seconds"]
        return seconds


@contextlib.contextmanager
def foreign(name: str, servers: Servers) -> Iterator[Start]:
    """Have a database with the engine's tables; yields what starts a peer on it.

    Raises:
        MissingError: its environment is not there.
    """
    if not any(PYTHON.parent.parent.glob(f"lib/*/site-packages/{name}")):
        raise MissingError("not in .venv-bench; `make bench` installs it")
    with scratch(database_url=servers.database_url, redis_url=servers.redis_url) as (state, mine):
        logs = state / "logs"
        line = [str(PYTHON), "-m", f"agentops.bench.foreign.{name}_loop", mine.database_url]
        run_once(f"{name}-setup", [*line, "setup"], dict(os.environ), logs=logs)

        @contextlib.contextmanager
        def start(layout: Layout) -> Iterator[Foreign]:
            with contextlib.ExitStack() as stack:
                children = [
                    stack.enter_context(
                        Child(
                            f"{name}-{number}",
                            [*line, str(layout.threads), str(number)],
                            os.environ,
                            logs=logs,
                        )
                    )
                    for number in range(layout.processes)
                ]
                if {child.hear()["psycopg"] for child in children} != {"binary"}:
                    raise WrongError(f"{name}'s psycopg is not the compiled one: unfair")
                yield Foreign(name, layout, mine.database_url, children)

        yield start
