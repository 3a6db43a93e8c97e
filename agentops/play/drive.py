"""Drive: start a run for each task, answer what people are asked, until every run has ended.

    slots     start a run, name it to the servers outside, wait until it has ended
    watch     read the states of the runs that have not
    decide    answer open approvals, as a person would
    tell      say each second how far it is

Nothing here must survive a SIGKILL: idempotency keys are derived from session and task, so the
same requests made again find what the first ones did.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from agentops.play.api import ProductApi
from agentops.play.outside import Outside
from agentops.play.records import storable
from agentops.play.workload import JsonObject, Task

FINAL: Final = frozenset({"succeeded", "failed", "cancelled", "expired"})
WATCH_SECONDS: Final = 0.25
DECIDE_SECONDS: Final = 0.25
TELL_SECONDS: Final = 1.0
LIVE: Final = "queued,running,waiting,interrupted,paused"
PAGE: Final = "200"
NOTHING_SAID: Final = "(The customer says nothing.)"

Say = Callable[[str], None]


class StalledError(Exception):
    """No run has moved for so long that none will."""


@dataclass
class Board:
    """What is known about the runs: their state as last seen, and who waits for their end."""

    runs: dict[str, JsonObject] = field(default_factory=dict)
    task_of: dict[str, int] = field(default_factory=dict)
    ended: dict[str, asyncio.Event] = field(default_factory=dict)
    moved_at: float = field(default_factory=time.monotonic)

    def add(self, run: JsonObject, task: int) -> asyncio.Event:
        """Take a run onto the board; what is returned will be set when the run has ended."""
        self.task_of[run["id"]] = task
        ended = self.ended.setdefault(run["id"], asyncio.Event())
        self.see(run)
        return ended

    def see(self, run: JsonObject) -> None:
        """Note where a run is now."""
        if run["id"] not in self.task_of:
            return
        if _place(self.runs.get(run["id"], {})) != _place(run):
            self.moved_at = time.monotonic()
        self.runs[run["id"]] = run
        if run["state"] in FINAL:
            self.ended[run["id"]].set()

    def unfinished(self) -> set[str]:
        return {id_ for id_, run in self.runs.items() if run["state"] not in FINAL}

    def states(self) -> Counter[str]:
        return Counter(run["state"] for run in self.runs.values())

    def places(self) -> Counter[str]:
        """Count the unfinished runs by where they are, and by what holds them up there."""
        runs = (self.runs[id_] for id_ in self.unfinished())
        return Counter(
            f"{run['state']} ({run['reason']})" if run.get("reason") else run["state"]
            for run in runs
        )


def _place(run: JsonObject) -> tuple[Any, Any]:
    return run.get("state"), run.get("super_step")


@dataclass
class Driver:
    """One way through the tasks."""

    api: ProductApi
    outside: Outside
    tasks: tuple[Task, ...]
    agent: str
    session: str
    concurrency: int
    kills: Callable[[], int]
    say: Say
    patience: float = 300.0
    """For how many seconds no run may move before the drive is given up."""
    board: Board = field(default_factory=Board)

    async def drive(self) -> None:
        """Bring the run of every task to its end; the board knows which.

        Raises, within an exception group:
            StalledError: some runs do not move any more.
            ProductError: the product refused a request.
        """
        async with asyncio.TaskGroup() as alongside:
            others = [alongside.create_task(work) for work in self._alongside()]
            waiting = iter(self.tasks)
            async with asyncio.TaskGroup() as slots:
                for _ in range(self.concurrency):
                    slots.create_task(self._slot(waiting))
            for other in others:
                other.cancel()

    def _alongside(self) -> tuple[Any, ...]:
        return self._watch(), self._decide(), self._tell()

    async def _slot(self, waiting: Iterator[Task]) -> None:
        for task in waiting:
            body = {
                "agent": self.agent,
                "input": task.request or NOTHING_SAID,
                "metadata": {"task": task.label, "index": str(task.index)},
            }
            run = await self.api.start_run(body, key=f"play-{self.session}-{task.index}")
            ended = self.board.add(run, task.index)
            await self.outside.name_run(run["id"], task.index)
            await ended.wait()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            await self._look()
            if time.monotonic() - self.board.moved_at > self.patience:
                raise StalledError(f"no run has moved for {self.patience:g} s")

    async def _look(self) -> None:
        """Read the runs that have not ended; one that is no longer among them has."""
        unseen = self.board.unfinished()
        if not unseen:
            return
        async for run in self.api.items("/api/v1/runs", state=LIVE, limit=PAGE):
            self.board.see(run)
            unseen.discard(run["id"])
        for run_id in unseen:
            self.board.see(await self.api.run(run_id))

    async def _decide(self) -> None:
        while True:
            await asyncio.sleep(DECIDE_SECONDS)
            approvals = self.api.items("/api/v1/approvals", state="open", limit=PAGE)
            opened = [approval async for approval in approvals]
            async with asyncio.TaskGroup() as group:
                for approval in opened:
                    group.create_task(self._answer(approval))

    async def _answer(self, approval: JsonObject) -> None:
        """Approve a call; for one whose outcome nobody knows, look into the service's books."""
        decision: JsonObject = {"decision": "approve"}
        if approval["kind"] == "outcome_unknown":
            found = await self.outside.outcome(approval["run_id"], approval["effect_key"])
            decision = {"decision": "not_happened"}
            if found.happened:
                decision = {"decision": "happened", "result": storable(found.result)}
        if await self.api.decide(approval, decision):
            self.board.moved_at = time.monotonic()

    async def _tell(self) -> None:
        began = time.monotonic()
        while True:
            await asyncio.sleep(TELL_SECONDS)
            self.say(self._progress(time.monotonic() - began))

    def _progress(self, seconds: float) -> str:
        states = self.board.states()
        done = sum(states[state] for state in FINAL)
        places = self.board.places()
        moving = ", ".join(f"{places[place]} {place}" for place in sorted(places))
        failed = done - states["succeeded"]
        parts = [
            f"{done}/{len(self.tasks)} done",
            f"{done / seconds:.1f} tasks/s",
            moving,
            f"{failed} not succeeded" if failed else "",
            f"{self.kills()} kills" if self.kills() else "",
        ]
        return f"  {seconds:5.0f} s  " + " · ".join(part for part in parts if part)
