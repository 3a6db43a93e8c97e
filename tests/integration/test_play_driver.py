"""The player against a product that is played, too: what it asks, and how patient it is."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import aiohttp
import pytest
from aiohttp import web

from agentops.play.api import ProductApi, ProductError
from agentops.play.drive import Driver, StalledError
from agentops.play.outside import Outcome, Outside
from agentops.play.workload import parse
from tests.unit.play.workload_files import a_file, a_task

Json = dict[str, Any]


@dataclass
class PlayedProduct:
    """Answers as the product does; each run asks for `questions` before it succeeds."""

    questions: list[str] = field(default_factory=list)
    outages: int = 0
    runs: dict[str, Json] = field(default_factory=dict)
    approvals: dict[str, Json] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    decisions: list[Json] = field(default_factory=list)
    most_unfinished: int = 0

    def application(self) -> web.Application:
        app = web.Application(middlewares=[self.with_outages()])
        app.router.add_post("/api/v1/runs", self.start)
        app.router.add_get("/api/v1/runs", self.list_runs)
        app.router.add_get("/api/v1/runs/{id}", self.get_run)
        app.router.add_get("/api/v1/approvals", self.list_approvals)
        app.router.add_post("/api/v1/approvals/{id}/decide", self.decide)
        return app

    def with_outages(self) -> Any:
        @web.middleware
        async def sometimes_out(request: web.Request, handler: Any) -> web.StreamResponse:
            assert request.headers["Authorization"] == "Bearer key"
            self.outages -= 1
            if self.outages > 0 and self.outages % 2:
                return web.json_response({}, status=503, headers={"Retry-After": "0"})
            if self.outages > 0:
                request.transport.close()  # type: ignore[union-attr]
            answer: web.StreamResponse = await handler(request)
            return answer

        return sometimes_out

    async def start(self, request: web.Request) -> web.Response:
        key = request.headers["Idempotency-Key"]
        if key not in self.keys:
            run_id = self.keys[key] = f"run-{len(self.keys)}"
            body = await request.json()
            self.runs[run_id] = {"id": run_id, "state": "running", "super_step": 0, **body}
            self.unfinished()
            self.ask_next(run_id)
        return web.json_response(self.runs[self.keys[key]], status=202)

    def unfinished(self) -> list[Json]:
        unfinished = [run for run in self.runs.values() if run["state"] != "succeeded"]
        self.most_unfinished = max(self.most_unfinished, len(unfinished))
        return unfinished

    def ask_next(self, run_id: str) -> None:
        run = self.runs[run_id]
        place = run["super_step"]
        run["super_step"] += 1
        if place == len(self.questions):
            run["state"] = "succeeded"
        elif self.questions[place] != "nothing":
            run["state"] = "interrupted"
            self.approvals[f"{run_id}-{place}"] = {
                "id": f"{run_id}-{place}",
                "kind": self.questions[place],
                "state": "open",
                "version": 3,
                "digest": "d",
                "run_id": run_id,
                "effect_key": f"{run_id}/{place}/act/0",
            }

    async def list_runs(self, request: web.Request) -> web.Response:
        assert "succeeded" not in request.query["state"]
        return web.json_response(self.page(self.unfinished(), request))

    async def get_run(self, request: web.Request) -> web.Response:
        return web.json_response(self.runs[request.match_info["id"]])

    async def list_approvals(self, request: web.Request) -> web.Response:
        state = request.query["state"]
        found = [item for item in self.approvals.values() if item["state"] == state]
        return web.json_response(self.page(found, request))

    def page(self, items: list[Json], request: web.Request) -> Json:
        """Pages of two, to have several."""
        start = int(request.query.get("cursor", 0))
        following = str(start + 2) if start + 2 < len(items) else None
        return {"results": items[start : start + 2], "next": following, "previous": None}

    async def decide(self, request: web.Request) -> web.Response:
        approval = self.approvals[request.match_info["id"]]
        assert request.headers["If-Match"] == '"3"'
        body = await request.json()
        assert body.pop("digest") == "d"
        if approval["state"] != "open":
            return web.json_response({"code": "approval_not_open"}, status=409)
        approval["state"] = "decided"
        self.decisions.append(body)
        self.ask_next(approval["run_id"])
        return web.json_response(approval)


class PlayedOutside:
    """Knows that the first question of each run was about a call that happened."""

    def __init__(self) -> None:
        self.named: dict[str, int] = {}

    async def name_run(self, run: str, task: int) -> None:
        self.named[run] = task

    async def outcome(self, run: str, key: str) -> Outcome:
        assert run in self.named
        happened = key.split("/")[1] == "0"
        return Outcome(happened=happened, result="a\0b" if happened else None)


@asynccontextmanager
async def a_driver(
    product: PlayedProduct, *, tasks: int = 5, concurrency: int = 3, patience: float = 60.0
) -> AsyncIterator[Driver]:
    runner = web.AppRunner(product.application())
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    workload = parse(a_file(*(a_task(id=number) for number in range(tasks))))
    try:
        async with aiohttp.ClientSession() as http:
            yield Driver(
                api=ProductApi(http, f"http://127.0.0.1:{runner.addresses[0][1]}", "key"),
                outside=cast("Outside", PlayedOutside()),
                tasks=workload.tasks,
                agent="player",
                session="s",
                concurrency=concurrency,
                kills=lambda: 0,
                say=lambda _line: None,
                patience=patience,
            )
    finally:
        await runner.cleanup()


async def driven(product: PlayedProduct, **more: Any) -> Driver:
    async with a_driver(product, **more) as driver:
        await driver.drive()
        return driver


def test_every_task_gets_one_run_and_not_too_many_at_once() -> None:
    product = PlayedProduct(questions=["tool_call"])

    driver = asyncio.run(driven(product))

    assert sorted(product.keys) == [f"play-s-{index}" for index in range(5)]
    assert product.most_unfinished == 3
    assert driver.board.states() == {"succeeded": 5}
    assert sorted(driver.board.task_of.values()) == [0, 1, 2, 3, 4]
    assert [decision["decision"] for decision in product.decisions] == ["approve"] * 5


def test_a_run_is_started_with_the_request_and_named_by_its_task() -> None:
    product = PlayedProduct()

    asyncio.run(driven(product, tasks=1))

    [run] = product.runs.values()
    assert run["agent"] == "player"
    assert run["metadata"] == {"task": "0", "index": "0"}


def test_an_unknown_outcome_is_answered_from_the_books() -> None:
    product = PlayedProduct(questions=["outcome_unknown", "outcome_unknown"])

    asyncio.run(driven(product, tasks=1))

    assert product.decisions == [
        {"decision": "happened", "result": "a\ufffdb"},
        {"decision": "not_happened"},
    ]


def test_outages_cost_time_and_nothing_else() -> None:
    product = PlayedProduct(questions=["tool_call"], outages=8)

    driver = asyncio.run(driven(product, tasks=3))

    assert driver.board.states() == {"succeeded": 3}
    assert len(product.runs) == 3
    assert len(product.decisions) == 3


def test_the_same_drive_again_finds_the_same_runs() -> None:
    product = PlayedProduct()

    asyncio.run(driven(product))
    driver = asyncio.run(driven(product))

    assert len(product.runs) == 5
    assert driver.board.states() == {"succeeded": 5}


def test_a_play_in_which_nothing_moves_is_given_up() -> None:
    with pytest.RaisesGroup(StalledError, flatten_subgroups=True):
        asyncio.run(driven(PlayedProduct(questions=["nothing"]), patience=0.6))


def test_a_refusal_is_told_as_the_product_says_it() -> None:
    async def refused() -> None:
        async with a_driver(PlayedProduct()) as driver:
            await driver.api.run("none")

    with pytest.raises(ProductError, match="GET /api/v1/runs/none: 500"):
        asyncio.run(refused())


def test_a_decision_that_somebody_else_made_is_fine() -> None:
    async def decided_twice() -> list[bool]:
        product = PlayedProduct(questions=["tool_call"])
        async with a_driver(product, tasks=1) as driver:
            with contextlib.suppress(TimeoutError):
                await driver.api.start_run({}, key="k")
            [approval] = product.approvals.values()
            decision = {"decision": "approve"}
            return [await driver.api.decide(dict(approval), decision) for _ in range(2)]

    assert asyncio.run(decided_twice()) == [True, False]
