"""A simulated worker: the real engine in a greenlet that can be stopped or killed anywhere.

Every statement to the store and every call of the world gives the turn away before and
after: there the scheduler may let others work, kill the worker, or stop it for hours.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from math import inf
from typing import Any, Final, TypeVar, cast

import greenlet

from gateway.core.messages import ModelRequest
from gateway.core.route import Quote
from policy.core.decide import EffectClass, Policy
from policy.core.json import Json, JsonObject
from policy.core.outcomes import ErrorClass, Outcome
from policy.enforce import Permit
from runs.advance import Burst, Engine
from runs.agents.program import Program
from runs.core.effects import EffectState, effect_key
from runs.core.results import TaskResult
from runs.errors import StoreAway, UnknownAgent
from runs.leases import LeaseKeeper
from runs.loop import IoLoop
from runs.ports import (
    Brood,
    Claimed,
    Joined,
    Lease,
    Nudge,
    Put,
    PutEffect,
    Save,
    Saved,
    Settled,
    Spawned,
    Wait,
)
from runs.shell import Shell
from runs.testing.simulation import outside
from runs.testing.simulation.ground import LEASE, Ground
from runs.testing.simulation.loop import SimulatedIo, SimulatedKeeper, switch
from runs.testing.simulation.programs import PROGRAMS
from tools.core.spec import ToolCall, ToolSpec
from tools.errors import PermitMismatch

T = TypeVar("T")
SLOW: Final = (5, 90, 4000)


class Dead(BaseException):
    """This worker was killed: nothing it does from now on reaches anything."""


class Worker:
    """One process: `begin` follows a message; `step` goes on to the next switch point."""

    def __init__(self, ground: Ground, number: int, *, keyed: Callable[[str], str]) -> None:
        self.ground, self.name = ground, f"worker-{number}"
        self.keeper = SimulatedKeeper()
        self.io = SimulatedIo(ground.clock, self.wait, self.wake)
        self.until: datetime | None = None
        self.is_dead = self.is_stopped = False
        self._work: greenlet.greenlet | None = None
        shell = Shell(
            store=_Store(self),
            world=_World(self, keyed),
            loop=cast("IoLoop", self.io),
            clock=ground.clock,
            mint=ground.mint,
            worker=self.name,
            ttl=LEASE,
        )
        self.engine = Engine(
            shell=shell,
            keeper=cast("LeaseKeeper", self.keeper),
            send=_left_in_the_outbox,
            burst=Burst(seconds=inf),
        )

    @property
    def is_idle(self) -> bool:
        """Say whether it follows no message."""
        return self._work is None

    def is_ready(self, now: datetime) -> bool:
        """Say whether it can go on."""
        return self._work is not None and (self.until is None or self.until <= now)

    def begin(self, nudge: Nudge) -> None:
        """Follow a message."""

        def work() -> None:
            try:
                came = self.engine.advance(nudge)
                self.ground.tell(f"{self.name}: {came}")
            except Dead:
                pass

        self._work = greenlet.greenlet(work)

    def step(self) -> None:
        """Go on to the next switch point."""
        if self._work is None:
            return
        self.until, self.is_stopped = None, False
        self._work.switch()
        if self._work.dead:
            self._work = None

    def kill(self) -> None:
        """End it here, at the switch point where it stands."""
        self.is_dead = True
        while self._work is not None:
            self.step()
        self.io.close()

    def turn(self) -> None:
        """Give the turn away; come back, or not."""
        self.alive()
        switch(self.ground.hub)
        self.alive()

    def alive(self) -> None:
        """Raise `Dead` in a dead worker."""
        if self.is_dead:
            raise Dead

    def wait(self, seconds: float | None) -> None:
        """Wait on the simulated clock."""
        self.alive()
        length = 86400.0 if seconds is None else max(seconds, 0.001)
        self.until = self.ground.clock.now + timedelta(seconds=length)
        switch(self.ground.hub)
        self.alive()

    def wake(self) -> None:
        """Go on now: something reached the loop from outside."""
        if not self.is_stopped:
            self.until = None

    def renew(self) -> None:
        """Keep what it holds, as the keeper's thread of a live process does."""
        if not self.is_stopped:
            self.keeper.renew(lambda held: self.ground.store.renew(held, ttl=LEASE))


def _left_in_the_outbox(_: Iterable[Nudge]) -> None:
    """Leave messages where the simulated broker takes them from."""


class _Store:
    """The store as one worker reaches it: sometimes away, sometimes silent after a commit."""

    def __init__(self, worker: Worker) -> None:
        self._worker, self._ground, self._inner = worker, worker.ground, worker.ground.store

    def _call(self, what: str, call: Callable[[], T]) -> T:
        ground = self._ground
        self._worker.turn()
        if ground.strikes("store_away", 0.01):
            raise StoreAway("away")
        ground.tell(f"{self._worker.name}: {what}")
        answer = call()
        ground.look()
        self._worker.turn()
        if ground.strikes("answer_lost", 0.01):
            raise StoreAway("the answer was lost")
        return answer

    def _write(self, what: str, lease: Lease, call: Callable[[], T]) -> T:
        def checked() -> T:
            newest = self._ground.token(lease)
            answer = call()
            if answer is not Put.LEASE_LOST:
                self._ground.wrote(lease, newest)
            return answer

        return self._call(f"{what} {lease.run_id}/{lease.super_step}/{lease.task}", checked)

    def claim(self, tenant_id: str, run_id: str, *, worker: str, ttl: float) -> Claimed | None:
        """See `Store.claim`."""
        return self._call(
            f"claim {run_id}", lambda: self._inner.claim(tenant_id, run_id, worker=worker, ttl=ttl)
        )

    def claim_task(self, nudge: Nudge, *, worker: str, ttl: float) -> Claimed | None:
        """See `Store.claim_task`."""
        return self._call(
            f"claim_task {nudge.run_id}/{nudge.task}",
            lambda: self._inner.claim_task(nudge, worker=worker, ttl=ttl),
        )

    def read_log(self, run_id: str, tenant_id: str, channel: str, upto: int) -> list[Json]:
        """See `Store.read_log`."""
        return self._call(
            "read_log", lambda: self._inner.read_log(run_id, tenant_id, channel, upto)
        )

    def put_effect(self, lease: Lease, put: PutEffect, before: Sequence[Settled]) -> Put:
        """See `Store.put_effect`."""

        def checked() -> Put:
            called_off = self._inner.runs[lease.run_id].cancel
            answer = self._inner.put_effect(lease, put, before)
            if answer is Put.OK and called_off and put.state is EffectState.CLAIMED:
                key = effect_key(lease.run_id, put.place)
                self._ground.wrong(f"G2 {key}: begun after a cancellation")
            return answer

        return self._write(f"put_effect {put.name} {put.state}", lease, checked)

    def spawn(
        self, lease: Lease, put: PutEffect, brood: Brood, before: Sequence[Settled]
    ) -> Spawned:
        """See `Store.spawn`."""
        return self._call("spawn", lambda: self._inner.spawn(lease, put, brood, before))

    def join(self, lease: Lease, put: PutEffect, wait: Wait, before: Sequence[Settled]) -> Joined:
        """See `Store.join`."""
        return self._call("join", lambda: self._inner.join(lease, put, wait, before))

    def take_signal(
        self, lease: Lease, put: PutEffect, before: Sequence[Settled]
    ) -> tuple[Put, JsonObject | None]:
        """See `Store.take_signal`."""
        return self._call("take_signal", lambda: self._inner.take_signal(lease, put, before))

    def fan_out(self, lease: Lease, tasks: Sequence[str]) -> list[Nudge]:
        """See `Store.fan_out`."""
        return self._write("fan_out", lease, lambda: self._inner.fan_out(lease, tasks))

    def finish_task(
        self, lease: Lease, result: TaskResult, effects: Sequence[Settled], *, ttl: float
    ) -> Claimed | None:
        """See `Store.finish_task`."""
        return self._write(
            "finish_task",
            lease,
            lambda: self._inner.finish_task(lease, result, effects, ttl=ttl),
        )

    def save(self, lease: Lease, save: Save, *, ttl: float) -> Saved:
        """See `Store.save`."""
        return self._write(
            f"save {save.state}", lease, lambda: self._inner.save(lease, save, ttl=ttl)
        )

    def release(self, lease: Lease, effects: Sequence[Settled]) -> Nudge:
        """See `Store.release`."""
        return self._write("release", lease, lambda: self._inner.release(lease, effects))


class _World:
    """The world as one worker reaches it."""

    def __init__(self, worker: Worker, keyed: Callable[[str], str]) -> None:
        self._worker, self._ground, self._keyed = worker, worker.ground, keyed

    def _call(self, call: Callable[[], T]) -> T:
        self._worker.turn()
        answer = call()
        self._worker.turn()
        return answer

    def program(self, claimed: Claimed) -> Program:
        """See `World.program`."""
        return self._call(lambda: PROGRAMS[claimed.agent])

    def policy(self, claimed: Claimed) -> Policy:  # noqa: ARG002 - one policy for every run
        """See `World.policy`."""
        return self._call(lambda: outside.POLICY)

    def tool(self, tenant_id: str, name: str) -> ToolSpec:  # noqa: ARG002 - one tenant
        """See `World.tool`."""
        return self._call(lambda: outside.SPECS[name])

    def tools(self, tenant_id: str, granted: Sequence[str]) -> list[ToolSpec]:  # noqa: ARG002
        """See `World.tools`."""
        return self._call(lambda: outside.specs(granted))

    def agent(self, tenant_id: str, name: str, version: str | None) -> tuple[str, Program]:  # noqa: ARG002
        """See `World.agent`: simulated programs start none."""
        raise UnknownAgent(name, version)

    def quote(self, tenant_id: str, request: ModelRequest) -> tuple[Quote, Any]:  # noqa: ARG002
        """See `World.quote`."""
        return self._call(lambda: (outside.QUOTE, None))

    async def invoke(self, call: ToolCall, *, permit: Permit, now: datetime) -> Outcome:
        """Make a tool call: it arrives at once, and its answer when it likes.

        No switch before it: the engine looks at its clock last of all before it sends.
        """
        self._worker.alive()
        name, ground = call.spec.name, self._ground
        asked = outside.call_digest(call)
        if not permit.covers(tool=name, digest=asked, now=now):
            raise PermitMismatch(name)
        if name in outside.GUARDED:
            self._decided(call, asked)
        key = self._keyed(call.key)
        outcome = self._failing(key, CHANGING[name])
        happens = outcome is None or outcome is LATE
        if happens:
            ground.books.apply(key, call)
        ground.tell(f"{self._worker.name}: {name} {call.key} {'happens' if happens else 'fails'}")
        await self._slowly()
        return outcome or outside.answer(name, call.arguments)

    async def complete(
        self,
        request: ModelRequest,
        quote: Quote,  # noqa: ARG002 - one price
        credential: Any,  # noqa: ARG002 - it needs none
        *,
        key: str,
        timeout: float,  # noqa: ARG002 - it is never that slow
    ) -> Outcome:
        """Ask the model."""
        self._worker.turn()
        outcome = self._failing(key, EffectClass.READ)
        await self._slowly()
        return outcome or outside.said(request)

    async def _slowly(self) -> None:
        if self._ground.strikes("slow", 0.03):
            await asyncio.sleep(self._ground.chance.choice(SLOW))
        self._worker.turn()

    def _failing(self, key: str, effect: EffectClass) -> Outcome | None:
        """Choose how a call fails, if it does; a key fails a few times only."""
        ground = self._ground
        if ground.books.failures[key] >= outside.MOST_FAILURES:
            return None
        outcome: Outcome | None = None
        if ground.strikes("call_failed", 0.03):
            outcome = outside.failed(ErrorClass.TRANSIENT_DEPENDENCY, in_doubt=False)
        elif ground.strikes("call_in_doubt", 0.03):
            outcome = outside.failed(ErrorClass.TIMEOUT, in_doubt=True)
        elif effect is not EffectClass.READ and ground.strikes("answer_of_call_lost", 0.03):
            outcome = LATE
        ground.books.failures[key] += outcome is not None
        return outcome

    def _decided(self, call: ToolCall, digest: str) -> None:
        """Check that a person approved exactly this call before it arrives."""
        given = any(
            row.digest == digest and row.kind == "tool_call" and row.state == "approved"
            for row in self._ground.store.approvals.values()
            if effect_key(row.run_id, row.place) == call.key
        )
        if not given:
            self._ground.wrong(f"G6 {call.key}: {call.spec.name} without a decision for it")


CHANGING: Final = outside.CLASSES
LATE: Final = outside.failed(ErrorClass.TIMEOUT, in_doubt=True)
"""The failure of a call that did happen."""
