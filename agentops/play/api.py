"""The product's HTTP API, as a customer's program uses it.

Every request is safe to repeat: reading changes nothing, and what starts or decides something
carries an idempotency key derived from what it is about. So a web process that is killed and
comes back costs time and nothing else.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from agentops.play.workload import JsonObject

PATIENCE_SECONDS: Final = 180.0
FIRST_PAUSE_SECONDS: Final = 0.1
LONGEST_PAUSE_SECONDS: Final = 2.0
COME_BACK: Final = frozenset({429, 502, 503, 504})


class ProductError(Exception):
    """The product answered what a well-behaved client cannot go on with."""

    def __init__(self, method: str, path: str, status: int, problem: str) -> None:
        super().__init__(f"{method} {path}: {status} {problem}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that is not an outage."""

    status: int
    body: Any
    headers: Mapping[str, str]


class ProductApi:
    """A client of one tenant."""

    def __init__(self, http: aiohttp.ClientSession, base_url: str, key: str) -> None:
        self._http, self._base = http, base_url
        self._headers = {"Authorization": f"Bearer {key}"}

    async def start_run(self, body: JsonObject, *, key: str) -> JsonObject:
        """Start a run; the same key gives the same run."""
        reply = await self._request("POST", "/api/v1/runs", body=body, key=key)
        run: JsonObject = _good(reply, "POST", "/api/v1/runs")
        return run

    async def run(self, run_id: str) -> JsonObject:
        path = f"/api/v1/runs/{run_id}"
        run: JsonObject = _good(await self._request("GET", path), "GET", path)
        return run

    async def items(self, path: str, **params: str) -> AsyncIterator[JsonObject]:
        """Walk through a list, page by page."""
        following: str | None = None
        while True:
            asked = params if following is None else {**params, "cursor": following}
            page = _good(await self._request("GET", path, params=asked), "GET", path)
            for item in page["results"]:
                yield item
            following = page.get("next")
            if following is None:
                return

    async def decide(self, approval: JsonObject, decision: JsonObject) -> bool:
        """Decide an approval; return False when somebody has decided it already."""
        path = f"/api/v1/approvals/{approval['id']}/decide"
        key = f"decide-{approval['id']}-{approval['version']}"
        body = {"digest": approval["digest"], **decision}
        match = {"If-Match": f'"{approval["version"]}"'}
        reply = await self._request("POST", path, body=body, key=key, headers=match)
        if reply.status in {409, 412}:
            return False
        _good(reply, "POST", path)
        return True

    async def _request(
        self,
        method: str,
        path: str,
        *,
        body: JsonObject | None = None,
        params: Mapping[str, str] | None = None,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Ask until an answer comes that is not an outage, for a bounded time."""
        own = {**self._headers, **(headers or {}), **({"Idempotency-Key": key} if key else {})}
        pause = FIRST_PAUSE_SECONDS
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                reply = await self._once(method, path, json=body, params=params, headers=own)
                if reply is not None and not _is_outage(reply):
                    return reply
                await asyncio.sleep(max(pause, _asked_pause(reply)))
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def _once(self, method: str, path: str, **request: Any) -> Reply | None:
        try:
            async with self._http.request(method, self._base + path, **request) as answer:
                is_json = answer.content_type.endswith("json")
                body = await (answer.json(content_type=None) if is_json else answer.text())
                return Reply(answer.status, body, answer.headers)
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError):
            return None


def _is_outage(reply: Reply) -> bool:
    return reply.status in COME_BACK or bool(_problem(reply).get("retryable"))


def _asked_pause(reply: Reply | None) -> float:
    try:
        return float(reply.headers.get("Retry-After", 0)) if reply else 0.0
    except ValueError:
        return 0.0


def _problem(reply: Reply) -> JsonObject:
    return reply.body if isinstance(reply.body, dict) else {}


def _good(reply: Reply, method: str, path: str) -> Any:
    if reply.status < 400:  # noqa: PLR2004
        return reply.body
    problem = _problem(reply)
    said = problem.get("detail") or problem.get("title") or str(reply.body)[:300]
    raise ProductError(method, path, reply.status, said)
