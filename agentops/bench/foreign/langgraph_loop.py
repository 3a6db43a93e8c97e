"""The workload in LangGraph: `python -m agentops.bench.foreign.langgraph_loop DSN THREADS`.

Each thread has a connection, a saver and a compiled graph of its own: a saver holds a lock
during each of its statements, so that a shared one would let only one thread at a time talk
to the database.
"""

from __future__ import annotations

import asyncio
import operator
import sys
import time
import uuid
from typing import Annotated, Any, TypedDict

import psycopg
from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send
from psycopg.rows import dict_row

from agentops.bench.foreign.langgraph_waits import wait
from agentops.bench.foreign.lines import Resumer, Waiter, answer_all, instant_model


class State(TypedDict):
    """A list of messages that only grows, and how many there are to be."""

    messages: Annotated[list[dict[str, str]], operator.add]
    steps: int


def model(_state: State) -> dict[str, Any]:
    """Take the model's message."""
    return {"messages": [{"role": "assistant", "content": instant_model()}]}


def onward(state: State) -> str:
    """Go on until there are as many messages as were asked for."""
    return END if len(state["messages"]) >= state["steps"] else "model"


class Family(TypedDict):
    """How many children there are to be, and what they answered."""

    children: int
    answers: Annotated[list[int], operator.add]


class Child(TypedDict):
    """A child's number, and its answer."""

    number: int
    answers: list[int]


def _family(saver: PostgresSaver) -> Any:
    """Make a graph that fans out to subgraphs; each is checkpointed under a name of its own."""
    inner = StateGraph(Child)
    inner.add_node("only", lambda state: {"answers": [state["number"]]})
    inner.add_edge(START, "only")
    outer = StateGraph(Family)
    outer.add_node("child", inner.compile())
    outer.add_conditional_edges(
        START, lambda state: [Send("child", {"number": n}) for n in range(state["children"])]
    )
    return outer.compile(checkpointer=saver)


class LangGraph(Resumer, Waiter):
    """A graph with a connection of its own, set up as the saver's documentation says."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        connection = psycopg.connect(
            dsn, autocommit=True, prepare_threshold=0, row_factory=dict_row
        )
        loop = StateGraph(State)
        loop.add_node("model", model)
        loop.add_edge(START, "model")
        loop.add_conditional_edges("model", onward, ["model", END])
        saver = PostgresSaver(connection)
        self._graph: Any = loop.compile(checkpointer=saver)
        self._family = _family(saver)

    def play(self, steps: int) -> int:
        """Play one run; each super-step is committed before the next one starts."""
        begin = {"messages": [], "steps": steps}
        end = self._graph.invoke(begin, _thread(steps), durability="sync")
        return len(end["messages"])

    def family(self, children: int) -> None:
        """Play one; its subgraphs run in the graph's own threads."""
        begin = {"children": children, "answers": []}
        end = self._family.invoke(begin, _thread(children), durability="sync")
        if sorted(end["answers"]) != list(range(children)):
            raise RuntimeError("children answered something else")

    def wait(self, runs: int, url: str) -> int:
        """Play all runs in one event loop."""
        return asyncio.run(wait(self._dsn, State, runs, url))

    def resume(self, steps: int) -> float:
        """Leave a run one step before its end, and play that step."""
        thread = _thread(steps + 1)
        begin = {"messages": [], "steps": steps + 1}
        _leave(self._graph.stream(begin, thread, stream_mode="tasks", durability="sync"), steps)
        began = time.monotonic()
        end = self._graph.invoke(None, thread, durability="sync")
        seconds = time.monotonic() - began
        if len(end["messages"]) != steps + 1:
            raise RuntimeError(f"{len(end['messages'])} messages after {steps} and one more step")
        return seconds


def _leave(run: Any, steps: int) -> None:
    """Stop when the task after so many steps is announced: their checkpoints are committed."""
    for _ in range(steps + 1):
        while "input" not in next(run):
            pass
    run.close()


def _thread(steps: int) -> dict[str, Any]:
    return {"configurable": {"thread_id": str(uuid.uuid4())}, "recursion_limit": steps + 10}


def main(dsn: str, threads: int) -> None:
    """Answer lines until there are no more."""
    players = [LangGraph(dsn) for _ in range(threads)]
    answer_all(players, {"psycopg": psycopg.pq.__impl__})


def set_up(dsn: str) -> None:
    """Make the saver's tables."""
    with PostgresSaver.from_conn_string(dsn) as saver:
        saver.setup()


if __name__ == "__main__":
    if sys.argv[2] == "setup":
        set_up(sys.argv[1])
    else:
        main(sys.argv[1], int(sys.argv[2]))
