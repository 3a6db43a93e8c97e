"""A model server that keeps everybody waiting: `python -m agentops.bench.slow_model`.

OpenAI-compatible, as far as a benchmark needs it. It holds every question until all that were
announced are there, and then for so many seconds more; so all of them wait at once. One line
of JSON in, one out:

                                            {"port": 40123}
    {"expect": 1000, "seconds": 2}          {"expecting": 1000}
    {"tell": true}                          {"peak": 1000, "answered": 1000}
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any, Final

from aiohttp import web

from agentops.child import say

PATIENCE_SECONDS: Final = 60.0
ANSWER: Final = {
    "id": "answer",
    "object": "chat.completion",
    "created": 1,
    "model": "slow",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Here it is. " * 25},
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 10, "completion_tokens": 75, "total_tokens": 85},
}


class SlowModel:
    """Counts who waits, and lets all of them go at once."""

    def __init__(self) -> None:
        self.expect(1, 0.0)

    def expect(self, questions: int, seconds: float) -> None:
        """Hold the next questions until there are so many, and so long after that."""
        self._wanted, self._seconds = questions, seconds
        self._waiting = self.peak = self.answered = 0
        self._all_here = asyncio.Event()

    async def answer(self, request: web.Request) -> web.Response:
        """Answer a question, late."""
        await request.read()
        self._waiting += 1
        self.peak = max(self.peak, self._waiting)
        if self.answered + self._waiting >= self._wanted:
            self._all_here.set()
        try:
            await asyncio.wait_for(self._all_here.wait(), PATIENCE_SECONDS)
            await asyncio.sleep(self._seconds)
        finally:
            self._waiting -= 1
            self.answered += 1
        return web.json_response(ANSWER)

    def told(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Answer a line."""
        if "expect" in asked:
            self.expect(asked["expect"], asked["seconds"])
            return {"expecting": asked["expect"]}
        return {"peak": self.peak, "answered": self.answered}


async def serve() -> None:
    """Answer questions and lines until there are no more lines."""
    model, app = SlowModel(), web.Application()
    app.router.add_post("/v1/chat/completions", model.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=4096)
    await site.start()
    say({"port": runner.addresses[0][1]})
    while line := await asyncio.to_thread(sys.stdin.readline):
        say(model.told(json.loads(line)))
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(serve())
