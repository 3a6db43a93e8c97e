"""The workload in LangGraph, as a script of its own environment (requirements-bench.txt).

    python langgraph_loop.py DSN THREADS

One line of JSON in, one out: `{"runs": 100, "steps": 20}` plays so many runs, `THREADS` at
once. Each thread has a connection, a saver and a compiled graph of its own: a saver holds a
lock during each of its statements, so that a shared one would let only one thread at a time
talk to the database. Nothing here knows of AgentOps.
"""

from __future__ import annotations

import base64
import contextlib
import json
import operator
import os
import sys
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import repeat
from queue import Empty, SimpleQueue
from typing import Annotated, Any, Final, TypedDict

import psycopg
from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.graph import END, START, StateGraph
from psycopg.rows import dict_row

RANDOM_BYTES: Final = 225  # 300 characters of base64


class State(TypedDict):
    """A list of messages that only grows, and how many there are to be."""

    messages: Annotated[list[dict[str, str]], operator.add]
    steps: int


def model(_state: State) -> dict[str, Any]:
    """Answer at once with 300 random characters."""
    content = base64.b64encode(os.urandom(RANDOM_BYTES)).decode()
    return {"messages": [{"role": "assistant", "content": content}]}


def onward(state: State) -> str:
    """Go on until there are as many messages as were asked for."""
    return END if len(state["messages"]) >= state["steps"] else "model"


def compiled(dsn: str) -> Any:
    """Make a graph with a connection of its own, set up as the saver's documentation says."""
    connection = psycopg.connect(dsn, autocommit=True, prepare_threshold=0, row_factory=dict_row)
    loop = StateGraph(State)
    loop.add_node("model", model)
    loop.add_edge(START, "model")
    loop.add_conditional_edges("model", onward, ["model", END])
    return loop.compile(checkpointer=PostgresSaver(connection))


def play(graph: Any, steps: int) -> int:
    """Play one run and count its super-steps; each is committed before the next one starts."""
    config = {"configurable": {"thread_id": str(uuid.uuid4())}, "recursion_limit": steps + 10}
    end = graph.invoke({"messages": [], "steps": steps}, config, durability="sync")
    return len(end["messages"])


def work(graph: Any, steps: int, left: SimpleQueue[None]) -> int:
    """Play runs until none is left, and count their super-steps."""
    played = 0
    with contextlib.suppress(Empty):
        while True:
            left.get_nowait()
            played += play(graph, steps)
    return played


def answer(pool: ThreadPoolExecutor, graphs: list[Any], asked: dict[str, int]) -> dict[str, int]:
    """Play so many runs with all threads."""
    left: SimpleQueue[None] = SimpleQueue()
    for _ in range(asked["runs"]):
        left.put(None)
    job: Callable[[Any], int] = partial(work, steps=asked["steps"], left=left)
    return {"steps": sum(pool.map(job, graphs))}


def main(dsn: str, threads: int) -> None:
    """Answer lines until there are no more."""
    graphs = list(map(compiled, repeat(dsn, threads)))
    with ThreadPoolExecutor(threads) as pool:
        say({"ready": True, "psycopg": psycopg.pq.__impl__})
        for line in sys.stdin:
            say(answer(pool, graphs, json.loads(line)))


def say(answered: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answered) + "\n")
    sys.stdout.flush()


def set_up(dsn: str) -> None:
    """Make the saver's tables."""
    with PostgresSaver.from_conn_string(dsn) as saver:
        saver.setup()


if __name__ == "__main__":
    if sys.argv[2] == "setup":
        set_up(sys.argv[1])
    else:
        main(sys.argv[1], int(sys.argv[2]))
