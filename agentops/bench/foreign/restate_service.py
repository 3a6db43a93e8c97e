"""The workload as a Restate service: `python -m agentops.bench.foreign.restate_service NAME PORT`.

Each process serves a service of its own name: Restate speaks to one over few HTTP/2
connections, which a server of several processes would not share out.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

import hypercorn.asyncio
import hypercorn.config
import restate

from agentops.bench.foreign.lines import gaps, instant_model, moments


async def model() -> dict[str, str]:
    """Take the model's message."""
    return {"role": "assistant", "content": instant_model()}


async def play(ctx: restate.Context, asked: dict[str, int]) -> dict[str, Any]:
    """Take so many messages; each is in the log before the next is asked for."""
    if "trace" in asked:
        moments.clear()
    steps = asked.get("trace") or asked["steps"]
    messages = [await ctx.run_typed("model", model) for _ in range(steps)]
    return {"steps": len(messages), "gaps": gaps(list(moments)) if "trace" in asked else []}


async def child(_ctx: restate.Context, number: int) -> int:
    """Answer at once."""
    return number


def service(name: str) -> restate.Service:
    """Give the handlers under a name of this process's own."""
    made = restate.Service(name)
    made.handler("play")(play)
    registered = made.handler("child")(child)

    @made.handler("family")
    async def family(ctx: restate.Context, asked: dict[str, int]) -> dict[str, list[int]]:
        """Call so many children at once and wait for their answers."""
        called = [ctx.service_call(registered, number) for number in range(asked["family"])]
        await restate.gather(*called)
        return {"answers": [await one for one in called]}

    return made


async def serve(name: str, port: int) -> None:
    """Serve until told to stop."""
    config = hypercorn.config.Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.h2_max_concurrent_streams = 2000
    config.accesslog = None
    app: Any = restate.app([service(name)], protocol="bidi")
    await hypercorn.asyncio.serve(app, config)


if __name__ == "__main__":
    os.environ.setdefault("RESTATE_CORE_LOG", "error")
    asyncio.run(serve(sys.argv[1], int(sys.argv[2])))
