"""One play, from the first server to the verdict.

    servers ─▶ cast (outside, set-up, product) ─▶ drive ─▶ judge

Everything is started here, in a folder of its own, and ended here, however the play ends. With
a folder that is kept, the same command finds everything again and goes on.
"""

import asyncio
import contextlib
import hashlib
import os
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from agentops.play.api import ProductApi, ProductError
from agentops.play.cast import Cast, Parts
from agentops.play.drive import Board, Driver, Say, StalledError
from agentops.play.judge import Evidence, judge
from agentops.play.kept import Kept
from agentops.play.killer import Killer
from agentops.play.outside import Outside
from agentops.play.report import Report
from agentops.play.setup import AGENT
from agentops.play.workload import Workload, load
from agentops.servers import Servers, scratch
from agentops.supervisor import Supervisor


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command was asked for."""

    workload: Path
    tasks: int | None = None
    concurrency: int = 16
    data: Path | None = None
    approve_writes: bool = False
    kill_worker_every: float | None = None
    model_latency: float = 0.0
    tool_latency: float = 0.0
    blunt: bool = False


def play(options: Options, say: Say) -> Report:
    """Play a workload and judge it.

    Raises:
        WorkloadError: the file cannot be played.
        OtherPlayError: the data folder holds another play.
        ServerUnavailable: the database or Redis cannot be started.
        ProcessFailed: a process of the product cannot.
    """
    began = time.monotonic()
    workload = load(options.workload)
    for note in workload.notes:
        say(f"note: {note}")
    with _stage(options, workload, say) as cast:
        api_key = cast.start()
        say(f"Everything is up after {time.monotonic() - began:.1f} s; playing.")
        session = Session(options, workload.first(options.tasks), cast, api_key, say)
        return asyncio.run(session.play(began))


@contextlib.contextmanager
def _stage(options: Options, workload: Workload, say: Say) -> Iterator[Cast]:
    """Have servers and a supervisor in the play's folder, and say where everything will be."""
    folder = options.data.resolve() if options.data else None
    database_url, redis_url = os.environ.get("DATABASE_URL"), os.environ.get("REDIS_URL")
    with scratch(folder, database_url=database_url, redis_url=redis_url) as (state, servers):
        kept = Kept(state)
        say("Going on with this play." if kept.open(_identity(options)) else "A new play.")
        with Supervisor(state / "run" / "play", state / "logs") as supervisor:
            parts = Parts(
                path=options.workload.resolve(),
                workload=workload,
                approve_writes=options.approve_writes,
                model_latency=options.model_latency,
                tool_latency=options.tool_latency,
                blunt=options.blunt,
            )
            cast = Cast(parts, kept, servers, supervisor)
            _introduce(cast, servers, say)
            yield cast


def _identity(options: Options) -> dict[str, Any]:
    """Return what may not differ between two commands on one data folder."""
    content = options.workload.read_bytes()
    return {
        "workload": hashlib.sha256(content).hexdigest(),
        "blunt": options.blunt,
        "approve_writes": options.approve_writes,
    }


def _introduce(cast: Cast, servers: Servers, say: Say) -> None:
    """Say where everything is: a tester may want to look into it, or to break it."""
    say(f"  data      {cast.kept.state}")
    say(f"  database  {servers.database_url}  ({servers.database_kind})")
    say(f"  redis     {servers.redis_url}  ({servers.redis_kind})")
    for name in cast.ports:
        say(f"  {name:<8}  {cast.url(name)}")


@dataclass(frozen=True)
class Session:
    """The runs of one command, from the first to the verdict."""

    options: Options
    workload: Workload
    cast: Cast
    api_key: str
    say: Say

    async def play(self, began: float) -> Report:
        """Bring every task to its end as far as that goes, and judge all of them."""
        cast = self.cast
        async with aiohttp.ClientSession() as http:
            api = ProductApi(http, cast.url("web"), self.api_key)
            outside = Outside(
                http,
                tools_url=cast.url("tools"),
                model_url=cast.url("model"),
                admin_key=cast.admin_key,
            )
            board = await self._driven(api, outside)
            return await self._report(api, outside, board, began)

    async def _driven(self, api: ProductApi, outside: Outside) -> Board:
        driver = Driver(
            api=api,
            outside=outside,
            tasks=self.workload.tasks,
            agent=AGENT,
            session=self.cast.kept.session,
            concurrency=self.options.concurrency,
            kills=self.cast.kept.kills,
            say=self.say,
        )
        killing = asyncio.create_task(self._killing())
        try:
            await driver.drive()
        except* (StalledError, ProductError, TimeoutError) as group:
            for error in _leaves(group):
                self.say(f"Gave up: {error or type(error).__name__}")
        finally:
            killing.cancel()
        return driver.board

    async def _killing(self) -> None:
        if self.options.kill_worker_every is not None:
            cast = self.cast
            every = self.options.kill_worker_every
            killer = Killer(cast.workers, every, cast.kept)
            await killer.kill()

    async def _report(
        self, api: ProductApi, outside: Outside, board: Board, began: float
    ) -> Report:
        effects = await outside.effects()
        evidence = {
            board.task_of[run_id]: Evidence(
                run_state=_told(run),
                records=await outside.records(board.task_of[run_id]),
                effects=effects.get(board.task_of[run_id], ()),
            )
            for run_id, run in board.runs.items()
        }
        decided = await self._decided(api)
        return Report(
            verdict=judge(self.workload.tasks, evidence),
            approvals=decided["tool_call", "approved"],
            unknown=decided["outcome_unknown", "happened"]
            + decided["outcome_unknown", "not_happened"],
            kills=self.cast.kept.kills(),
            steps=sum(run["super_step"] for run in board.runs.values()),
            seconds=time.monotonic() - began,
            calls=await outside.calls(),
        )

    async def _decided(self, api: ProductApi) -> Counter[tuple[str, str]]:
        """Count the approvals by kind and state, as the product tells them."""
        try:
            items = api.items("/api/v1/approvals", limit="200")
            return Counter([(item["kind"], item["state"]) async for item in items])
        except (ProductError, TimeoutError) as error:
            self.say(f"The approvals cannot be counted: {error or type(error).__name__}")
            return Counter()


def _told(run: dict[str, Any]) -> str:
    """Say a run's state, and why it ended so or is held up."""
    why = run.get("error_class") or run.get("reason")
    return f"{run['state']} ({why})" if why else str(run["state"])


def _leaves(group: BaseExceptionGroup[Exception]) -> Iterator[Exception]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
