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
from policy.calibration import Evidence
from policy.core.outcomes import ErrorClass, Outcome
from policy.core.rules.decide import EffectClass, Policy
from policy.enforce import Permit
from runs.advance import Burst, Engine
from runs.agents.program import Program
from runs.core.effects import effect_key
from runs.leases import LeaseKeeper
from runs.loop import IoLoop
from runs.ports import (
    Claimed,
    Nudge,
)
from runs.shell import Shell
from runs.testing import admission
from runs.testing.gate import OpenGate
from runs.testing.rows import RunRow
from runs.testing.simulation import kin, outside
from runs.testing.simulation.families import KNOWN
from runs.testing.simulation.ground import LEASE, Ground
from runs.testing.simulation.groups import Groups
from runs.testing.simulation.loop import SimulatedIo, SimulatedKeeper, switch
from runs.testing.simulation.post import Post
from runs.testing.simulation.programs import DEADLY
from runs.testing.simulation.store import ReachedStore
from tools.core.finding import CannotTell, Found
from tools.core.spec import ToolCall, ToolSpec
from tools.errors import PermitMismatch

T = TypeVar("T")
SLOW: Final = (5, 90, 4000)


class Dead(BaseException):
    """This worker was killed: nothing it does from now on reaches anything."""


class Worker:
    """One process: `begin` follows a message; `step` goes on to the next switch point."""

    def __init__(
        self,
        ground: Ground,
        number: int,
        *,
        post: Post,
        groups: Groups | None,
        keyed: Callable[[str], str],
    ) -> None:
        self.ground, self.name = ground, f"worker-{number}"
        self.post, self.groups = post, groups
        self.keeper = SimulatedKeeper()
        self.io = SimulatedIo(ground.ticks, self.wait, self.wake)
        self.until: datetime | None = None
        self.is_dead = self.is_stopped = False
        self._work: greenlet.greenlet | None = None
        shell = Shell(
            store=ReachedStore(self),
            world=_World(self, keyed),
            loop=cast("IoLoop", self.io),
            clock=ground.clock,
            mint=ground.mint,
            worker=self.name,
            ttl=LEASE,
            send=self._send,
            feed=self._feed,
        )
        self.engine = Engine(
            shell=shell,
            keeper=cast("LeaseKeeper", self.keeper),
            send=self._send,
            burst=Burst(seconds=inf),
        )

    @property
    def is_idle(self) -> bool:
        """Say whether it follows no message."""
        return self._work is None

    def is_ready(self, now: datetime) -> bool:
        """Say whether it can go on."""
        return self._work is not None and (self.until is None or self.until <= now)

    def _feed(self) -> None:
        """Admit who stands in line, now and then too late: the sweeper does it then."""
        self.turn()
        if not self.ground.strikes("feed_lost", 0.2):
            admitted = admission.admit(self.ground.store)
            self.ground.look()
            self._send(admitted)

    def _send(self, nudges: Iterable[Nudge]) -> None:
        """Send what was committed; whoever dies before or after it has left its rows."""
        self.turn()
        self.post.carry(nudges, between=self.turn)

    def begin(self, nudge: Nudge) -> None:
        """Follow a message."""

        def work() -> None:
            try:
                came = self.engine.advance(nudge)
                self.ground.tell(f"{self.name}: {came}")
            except Dead:
                pass
            except Exception as error:  # noqa: BLE001 - the engine lets none through
                self.ground.wrong(f"G3 {self.name}: {type(error).__name__}: {error}")

        self._work = greenlet.greenlet(work)

    def step(self) -> None:
        """Go on to the next switch point."""
        if self._work is None:
            return
        self.until, self.is_stopped, self.ground.working = None, False, self
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

    def die(self) -> None:
        """End here: what it does killed it."""
        self.is_dead = True
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


class _World(OpenGate):
    """The world as one worker reaches it."""

    def __init__(self, worker: Worker, keyed: Callable[[str], str]) -> None:
        self._worker, self._ground, self._keyed = worker, worker.ground, keyed

    def _call(self, call: Callable[[], T]) -> T:
        self._worker.turn()
        answer = call()
        self._worker.turn()
        return answer

    def _deadly(self, claimed: Claimed) -> None:
        """Die of a run that kills whoever works at it, unless it was mended."""
        run = self._ground.store.runs[claimed.lease.run_id]
        if (run.agent, claimed.lease.super_step) == DEADLY and not _is_mended(run):
            kin.died(self._ground, run)
            self._worker.die()

    def program(self, claimed: Claimed) -> Program:
        """See `World.program`."""
        self._deadly(claimed)
        return self._call(lambda: KNOWN[claimed.agent])

    def evidence(self, claimed: Claimed, tool: str) -> Evidence:  # noqa: ARG002 - nothing is known
        """See `World.evidence`."""
        return self._call(Evidence)

    def policy(self, claimed: Claimed) -> Policy:
        """See `World.policy`."""
        self._deadly(claimed)
        return self._call(lambda: outside.POLICY)

    def tool(self, tenant_id: str, name: str) -> ToolSpec:  # noqa: ARG002 - one tenant
        """See `World.tool`."""
        return self._call(lambda: outside.SPECS[name])

    def tools(self, tenant_id: str, granted: Sequence[str]) -> list[ToolSpec]:  # noqa: ARG002
        """See `World.tools`."""
        return self._call(lambda: outside.specs(granted))

    def agent(self, tenant_id: str, name: str, version: str | None) -> tuple[str, Program]:  # noqa: ARG002
        """See `World.agent`."""
        return self._call(lambda: (name, KNOWN[name]))

    def quote(self, tenant_id: str, request: ModelRequest) -> tuple[Quote, Any]:  # noqa: ARG002
        """See `World.quote`."""
        return self._call(lambda: (outside.QUOTE, None))

    def keep(self, tenant_id: str, data: bytes) -> str:
        """See `World.keep`; whoever dies after it leaves bytes that no state names."""
        return self._call(lambda: self._ground.artifacts.keep(tenant_id, data))

    def kept(self, tenant_id: str, digest: str) -> bytes:
        """See `World.kept`."""
        return self._call(lambda: self._ground.artifacts.kept(tenant_id, digest))

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

    async def find_out(self, call: ToolCall, *, now: datetime) -> Found:  # noqa: ARG002
        """Ask a reconcile hook; it fails now and then, and cannot tell now and then."""
        self._worker.turn()
        ground = self._ground
        await self._slowly()
        if ground.strikes("hook_failed", 0.2):
            return outside.failed(ErrorClass.TRANSIENT_DEPENDENCY, in_doubt=False)
        if ground.strikes("hook_cannot_tell", 0.1):
            return CannotTell("the books are closed")
        return outside.found(ground.books, call)

    async def complete(
        self,
        request: ModelRequest,
        quote: Quote,  # noqa: ARG002 - one price
        credential: Any,  # noqa: ARG002 - it needs none
        *,
        key: str,
        timeout: float,  # noqa: ARG002 - a slow one is late for everything, even for that
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


def _is_mended(run: RunRow) -> bool:
    return any(kind == "run.resumed" for kind, _ in run.events)


CHANGING: Final = outside.CLASSES
LATE: Final = outside.failed(ErrorClass.TIMEOUT, in_doubt=True)
"""The failure of a call that did happen."""
