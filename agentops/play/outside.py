"""What the player and the judge ask of the two servers outside the product."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from agentops.play.workload import JsonObject

PATIENCE_SECONDS: Final = 60.0
PAUSE_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the service's books say about one call."""

    happened: bool
    result: Any = None


class Outside:
    """The tool server's and the model server's back doors."""

    def __init__(
        self, http: aiohttp.ClientSession, *, tools_url: str, model_url: str, admin_key: str
    ) -> None:
        self._http, self._tools, self._model = http, tools_url, model_url
        self._headers = {"Authorization": f"Bearer {admin_key}"}

    async def name_run(self, run: str, task: int) -> None:
        """Tell both servers which task a run plays. Safe to repeat."""
        body = {"run_id": run, "task": task}
        for url in (self._tools, self._model):
            await self._ask("POST", f"{url}/runs", json=body)

    async def outcome(self, run: str, key: str) -> Outcome:
        """Look into the service's books: did the call under this key happen, and with what?

        An error that the service answered is a result, too: the call was dealt with.
        """
        asked = {"run": run, "key": key}
        found = await self._ask("GET", f"{self._tools}/outcome", params=asked)
        if not found["happened"]:
            return Outcome(happened=False)
        error = found["error"]
        return Outcome(happened=True, result=found["result"] if error is None else error)

    async def records(self, task: int) -> JsonObject:
        records: JsonObject = await self._ask("GET", f"{self._tools}/records/{task}")
        return records

    async def effects(self) -> dict[int, tuple[int, ...]]:
        """Return, by task, which actions' effects happened, in that order."""
        by_task: defaultdict[int, list[int]] = defaultdict(list)
        for row in await self._ask("GET", f"{self._tools}/ledger"):
            by_task[row["task"]].append(row["action"])
        return {task: tuple(actions) for task, actions in by_task.items()}

    async def calls(self) -> dict[str, JsonObject]:
        """Return how often each server was called."""
        tools = await self._ask("GET", f"{self._tools}/calls")
        model = await self._ask("GET", f"{self._model}/calls")
        return {"tools": tools, "model": model}

    async def _ask(self, method: str, url: str, **request: Any) -> Any:
        """Ask until the server is there, for a bounded time."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                try:
                    return await self._once(method, url, **request)
                except aiohttp.ClientConnectionError:
                    await asyncio.sleep(PAUSE_SECONDS)

    async def _once(self, method: str, url: str, **request: Any) -> Any:
        async with self._http.request(method, url, headers=self._headers, **request) as answer:
            answer.raise_for_status()
            return await answer.json() if answer.status == 200 else None  # noqa: PLR2004
