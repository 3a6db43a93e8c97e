"""The workload in DBOS: `python -m agentops.bench.foreign.dbos_loop DSN THREADS`.

Each thread calls the workflow itself: no queue lies between, which is the fastest way to run
one. The pool has a connection for each thread.
"""

from __future__ import annotations

import contextlib
import sys
import time
from typing import Any, Final

import psycopg
from dbos import DBOS, DBOSConfig, error

from agentops.bench.foreign.lines import Resumer, answer_all, instant_model

_reached: Final[dict[str, list[float]]] = {}
"""When a workflow that was to be left began, and when it had taken its last step."""


@DBOS.step()
def model() -> dict[str, str]:
    """Take the model's message."""
    return {"role": "assistant", "content": instant_model()}


@DBOS.workflow()
def loop(steps: int) -> int:
    """Take so many messages; each is committed before the next is asked for."""
    messages = [model() for _ in range(steps)]
    return len(messages)


@DBOS.workflow()
def child(number: int) -> int:
    """Answer at once."""
    return number


@DBOS.workflow()
def family(children: int) -> list[int]:
    """Start so many workflows and wait for them."""
    started = [DBOS.start_workflow(child, number) for number in range(children)]
    return [handle.get_result() for handle in started]


@DBOS.workflow()
def left(steps: int) -> int:
    """Take so many steps, be called off, and take one more when going on."""
    began = time.monotonic()
    messages = [model() for _ in range(steps)]
    known = str(DBOS.workflow_id)
    if known not in _reached:
        _reached[known] = []
        DBOS.cancel_workflow(known)
    messages.append(model())
    _reached[known] = [began, time.monotonic()]
    return len(messages)


class Dbos(Resumer):
    """Plays the workflow in its own thread."""

    def play(self, steps: int) -> int:
        """Play one run."""
        played: int = loop(steps)
        return played

    def family(self, children: int) -> None:
        """Play one in this thread, its children in the executor's."""
        if family(children) != list(range(children)):
            raise RuntimeError("children answered something else")

    def resume(self, steps: int) -> float:
        """Count from the workflow's start: what its queue takes to find it is left out."""
        handle: Any = DBOS.start_workflow(left, steps)
        with contextlib.suppress(error.DBOSAwaitedWorkflowCancelledError):
            handle.get_result()
        again: Any = DBOS.resume_workflow(handle.workflow_id)
        if again.get_result() != steps + 1:
            raise RuntimeError("a workflow did not take its last step")
        began, ended = _reached.pop(handle.workflow_id)
        return ended - began


def main(dsn: str, threads: int, number: str) -> None:
    """Answer lines until there are no more."""
    config: DBOSConfig = {
        "name": "bench",
        "system_database_url": dsn,
        "sys_db_pool_size": threads + 4,
        "executor_id": f"bench-{number}",
        "application_version": number,  # only this process goes on with its workflows
        "log_level": "CRITICAL",
        "max_executor_threads": threads + 4,
    }
    DBOS(config=config)
    DBOS.launch()
    answer_all([Dbos() for _ in range(threads)], {"psycopg": psycopg.pq.__impl__})
    DBOS.destroy()


def set_up(dsn: str) -> None:
    """Make DBOS's tables."""
    config: DBOSConfig = {"name": "bench", "system_database_url": dsn, "log_level": "CRITICAL"}
    DBOS(config=config)
    DBOS.launch()
    DBOS.destroy()


if __name__ == "__main__":
    if sys.argv[2] == "setup":
        set_up(sys.argv[1])
    else:
        main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
