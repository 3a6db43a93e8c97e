"""W2 in LangGraph: many runs of one process wait for a slow model server at the same time.

Everything is a coroutine: one graph, one saver over a pool of connections, and one aiohttp
session without a limit, which is the lightest client there is for it.
"""

from __future__ import annotations

import asyncio
import uuid
from typing import Any, Final

import aiohttp
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.graph import END, START, StateGraph
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

CONNECTIONS: Final = 8
QUESTION: Final = {"model": "slow", "messages": [{"role": "user", "content": "Go on."}]}


async def wait(dsn: str, state: Any, runs: int, url: str) -> int:
    """Play all runs at once; give their steps."""
    pool: AsyncConnectionPool[Any] = AsyncConnectionPool(
        dsn,
        min_size=CONNECTIONS,
        max_size=CONNECTIONS,
        timeout=120,
        open=False,
        kwargs={"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row},
    )
    connector = aiohttp.TCPConnector(limit=0)
    async with pool, aiohttp.ClientSession(connector=connector) as session:

        async def model(_state: Any) -> dict[str, Any]:
            async with session.post(f"{url}/chat/completions", json=QUESTION) as answer:
                answered = await answer.json()
            return {"messages": [answered["choices"][0]["message"]]}

        loop = StateGraph(state)
        loop.add_node("model", model)
        loop.add_edge(START, "model")
        loop.add_edge("model", END)
        graph: Any = loop.compile(checkpointer=AsyncPostgresSaver(pool))
        ends = await asyncio.gather(*(_play(graph) for _ in range(runs)))
        return sum(len(end["messages"]) for end in ends)


async def _play(graph: Any) -> Any:
    thread = {"configurable": {"thread_id": str(uuid.uuid4())}}
    return await graph.ainvoke({"messages": [], "steps": 1}, thread, durability="sync")
