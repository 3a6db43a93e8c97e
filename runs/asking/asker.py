"""Who asks: a task of a run, under its lease, and what the ledger has of it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from policy.core.json import JsonObject
from policy.core.outcomes import ErrorClass
from policy.core.retry import RetryPolicy
from policy.provenance import Answer
from runs import faults
from runs.agents.program import Program
from runs.brake import Brake
from runs.core.effects import EffectState, Place, Recorded
from runs.errors import LeaseLost, RunsError, StoreAway
from runs.ports import Claimed, Put, PutEffect, Settled
from runs.shell import Released, Shell, Stopped

T = TypeVar("T")


class Compensated(RunsError):  # noqa: N818
    """An effect is undone once only; nothing was written."""


def unsent(place: Place, why: str) -> Settled:
    """Say of an effect that was written down that it was not sent: it may be asked for again."""
    return Settled(
        place=place,
        state=EffectState.RETRYING,
        attempt_failed={"detail": f"it was not sent: {why}"},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Who asks: a task of a run, under its lease, and what the ledger has of it."""

    shell: Shell
    claimed: Claimed
    program: Program
    task: str
    retry: RetryPolicy
    brake: Brake = field(default_factory=Brake)
    settled: list[Settled] = field(default_factory=list)
    answered: list[Answer] = field(default_factory=list)

    def settle(self, settled: Settled) -> None:
        """Keep what an effect came to, to be written with the next statement."""
        self.settled.append(settled)
        self.claimed.known[settled.place] = settled
        self.claimed.tally.cost += settled.usage.cost

    def recorded(self, ordinal: int) -> Recorded | None:
        """Find the ledger's row for the task's n-th question, if it was asked before."""
        for row in self.claimed.ledger:
            if row.place.task == self.task and row.place.ordinal == ordinal:
                return row
        return None

    def place(self, ordinal: int) -> Place:
        """Name the place of the task's n-th question."""
        return Place(self.claimed.lease.super_step, self.task, ordinal)

    async def take_signal(self, put: PutEffect) -> JsonObject | None:
        """Write down that a signal is waited for, and take one if it is there; raises as `put`."""
        answer, signal = await self.shell.loop.in_thread(
            self.shell.store.take_signal, self.claimed.lease, put, self.unwritten()
        )
        self.heard(answer)
        return signal

    async def put(self, put: PutEffect) -> Put:
        """Write an effect down, together with the outcomes that are not written yet.

        Raises:
            LeaseLost: somebody else holds the task; nothing was written.
            Stopped: the run was cancelled or is past its deadline.
            Released: an effect was to begin while this process shuts down.
            Compensated: another call undoes what this one was to undo.
        """
        if put.state is EffectState.CLAIMED:
            self.begins()
        faults.point("put_effect.before")
        self.claimed.known.pop(put.place, None)
        try:
            answer = await self.shell.loop.in_thread(
                self.shell.store.put_effect, self.claimed.lease, put, self.unwritten()
            )
        except StoreAway:
            if put.state is EffectState.CLAIMED:
                self.claimed.known[put.place] = unsent(put.place, "the store went away")
            raise
        faults.point("put_effect.after")
        return self.heard(answer)

    def begins(self) -> None:
        """Raise Released where this process shuts down: no effect begins any more."""
        if self.shell.draining.is_set():
            raise Released

    def unwritten(self) -> list[Settled]:
        """Take the outcomes that are not written yet, for the statement that writes them."""
        before, self.settled[:] = list(self.settled), []
        return before

    def heard(self, answer: Put) -> Put:
        """Go on with what the store said, or raise as `put` does."""
        if answer is Put.LEASE_LOST:
            raise LeaseLost(self.claimed.lease.run_id, self.claimed.lease.token)
        if answer is Put.CANCELLED:
            raise Stopped(ErrorClass.CANCELLATION)
        if answer is Put.DEADLINE:
            raise Stopped(ErrorClass.TIMEOUT)
        if answer is Put.COMPENSATED:
            raise Compensated("it was compensated before, or is being compensated")
        return answer

    async def sent(self, call: Coroutine[Any, Any, T]) -> T:
        """Wait for the world's answer, unless the brake is pulled first.

        Raises:
            LeaseLost, Stopped, Released: the call was cut, and nobody knows what it did:
                its row stays claimed, for whoever comes next to judge.
        """
        loop, sending = asyncio.get_running_loop(), asyncio.ensure_future(call)
        with self.brake.on(lambda: loop.call_soon_threadsafe(sending.cancel)):
            try:
                return await sending
            except asyncio.CancelledError:
                if (error := self.brake.error(self.claimed.lease)) is not None:
                    raise error from None
                raise

    def time_left(self) -> float:
        """Give the seconds until the run's deadline; a day where it has none."""
        if self.claimed.deadline is None:
            return 86400.0
        return (self.claimed.deadline - self.shell.clock()).total_seconds()
