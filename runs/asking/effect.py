"""The life of one effect: asked, judged, written down, sent, and what came of it.

in the ledger?  done, failed ─────────────▶ that outcome, again
                held, unknown ────────────▶ what the person said, or wait on
                claimed, never finished ──▶ its worker died: ask again under the same
                                            key; a `once` tool goes to a person
                retrying, or no row ──────▶ judge, write down, send
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, assert_never

from policy.core.decide import EffectClass
from policy.core.json import Json, JsonObject
from policy.core.money import Amounts
from policy.core.outcomes import Done, ErrorClass, Failed, Outcome, Usage
from policy.enforce import Approved
from runs import faults
from runs.agents.program import Program
from runs.brake import Brake
from runs.core import retry
from runs.core.effects import SETTLED, EffectKind, EffectState, Place, Recorded, effect_key
from runs.core.lifecycle import Reason
from runs.core.results import Held
from runs.core.retry import RetryPolicy
from runs.errors import LeaseLost, RunsError
from runs.ports import Claimed, Put, PutEffect, Question, Settled
from runs.shell import Released, Shell, Stopped

SECONDS_TO_FIND_OUT: Final = 7 * 24 * 3600.0
"""How long a person has to say whether a call happened."""


SECONDS_FOR_MONEY: Final = 1.0
LONGEST_FOR_MONEY: Final = 15.0
"""Seconds between two looks for money that is only set aside: the first, and the longest."""


class Nondeterminism(RunsError):  # noqa: N818
    """A task that ran again asked something else at the same place than the ledger holds."""

    error_class = ErrorClass.NONDETERMINISM


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
        """
        if put.state is EffectState.CLAIMED:
            self.begins()
        faults.point("put_effect.before")
        answer = await self.shell.loop.in_thread(
            self.shell.store.put_effect, self.claimed.lease, put, self.unwritten()
        )
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
        return answer

    async def sent(self, call: Coroutine[Any, Any, Outcome]) -> Outcome:
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


class Asking(ABC):
    """One question at one place. Subclasses know how tools and models are asked."""

    kind: EffectKind
    name: str
    effect: EffectClass
    version = ""

    def __init__(self, asker: Asker, ordinal: int) -> None:
        self.asker = asker
        self.place = asker.place(ordinal)
        self.key = effect_key(asker.claimed.lease.run_id, self.place)
        self.recorded = asker.recorded(ordinal)

    @abstractmethod
    def digest(self) -> str:
        """Name the question."""

    @abstractmethod
    def request(self) -> Json:
        """Give what the ledger keeps of the question."""

    @abstractmethod
    async def judged(self, approved: Approved | None) -> Outcome | Held:
        """Ask policy, write down, send; `approved` is a person's leave."""

    async def outcome(self) -> Outcome | Held:
        """Give the recorded outcome, or ask for real.

        Raises:
            Nondeterminism: the ledger holds another question at this place.
            LeaseLost, Stopped: as `Asker.put`.
        """
        row = self.recorded
        if row is None:
            return await self.judged(None)
        if row.digest != self.digest():
            raise Nondeterminism(f"{self.key} was another question before: {self.name}")
        if row.state in SETTLED:
            return outcome_from_json(row.outcome)
        return await self._unsettled(row)

    async def _unsettled(self, row: Recorded) -> Outcome | Held:
        match row.state:
            case EffectState.HELD:
                return await self._held(row)
            case EffectState.UNKNOWN:
                return await self._unknown(row)
            case EffectState.CLAIMED:
                return await self._lost()
            case _:
                return await self.judged(_approval(row))

    async def _held(self, row: Recorded) -> Outcome | Held:
        if row.approval == "open":
            return Held(reason=Reason.APPROVAL)
        if row.approval == "approved":
            return await self.judged(_approval(row))
        detail = f"rejected by {row.approval_by}: {row.approval_reason}"
        if row.approval != "rejected":
            detail = "nobody approved it in time" if row.approval == "expired" else row.approval
        return self._settle(Failed(error_class=ErrorClass.POLICY_DENIED, detail=detail))

    async def _unknown(self, row: Recorded) -> Outcome | Held:
        if row.approval == "open":
            return Held(reason=Reason.OUTCOME_UNKNOWN)
        if row.approval == "happened":
            return self._settle(Done(value=row.approval_result))
        if row.approval == "not_happened":
            return await self.judged(_approval(row))
        return self._settle(
            Failed(
                error_class=ErrorClass.OUTCOME_UNKNOWN,
                detail="its worker died while it ran, and nobody said whether it happened",
                in_doubt=True,
            )
        )

    async def _lost(self) -> Outcome | Held:
        was_once = self.recorded is not None and self.recorded.effect == EffectClass.ONCE
        if was_once or self.effect is EffectClass.ONCE:
            return await self.in_doubt("its worker died while it ran")
        return await self.judged(None if self.recorded is None else _approval(self.recorded))

    def retry_policy(self) -> RetryPolicy:
        """Say how often and how patiently a failed attempt is made again."""
        return self.asker.retry

    async def in_doubt(self, why: str) -> Held:
        """Ask a person whether it happened; it is never sent again without an answer."""
        question = Question(
            id=self.asker.shell.mint(),
            kind="outcome_unknown",
            digest=self.call_digest(),
            policy_version=self.asker.claimed.policy_version_id or "",
            rule="",
            reason=f"Did this happen? {why}",
            seconds=SECONDS_TO_FIND_OUT,
        )
        await self.asker.put(self._put(EffectState.UNKNOWN, question=question, lost=why))
        return Held(reason=Reason.OUTCOME_UNKNOWN)

    def call_digest(self) -> str:
        """Name the call that a person decides on: tool, version and exact arguments."""
        return self.digest()

    def _put(self, state: EffectState, **more: Any) -> PutEffect:
        return PutEffect(
            place=self.place,
            kind=self.kind,
            name=self.name,
            version=self.version,
            effect=self.effect,
            digest=self.digest(),
            request=self.request(),
            state=state,
            **more,
        )

    async def refused(self, failed: Failed, decision: JsonObject | None = None) -> Failed:
        """Write down that it was never sent, and why."""
        await self.asker.put(
            self._put(
                EffectState.FAILED,
                outcome=outcome_to_json(failed),
                error_class=failed.error_class,
                decision=decision or {},
            )
        )
        return failed

    async def claimed(self, reserve: Amounts, decision: JsonObject | None = None) -> Held | None:
        """Write it down and set its money aside; Held where the money is not there."""
        answer = await self.asker.put(
            self._put(EffectState.CLAIMED, reserve=reserve, decision=decision or {})
        )
        if answer is Put.OK:
            faults.point("call.before")
            return None
        return Held(reason=Reason.BUDGET, until=self._soon() if answer is Put.RESERVED else None)

    def _soon(self) -> datetime:
        """Give the moment to look again for money that others may give back, later each time."""
        patience = min(SECONDS_FOR_MONEY + self.asker.claimed.wakeups, LONGEST_FOR_MONEY)
        return self.asker.shell.clock() + timedelta(seconds=patience)

    async def send(self, call: Coroutine[Any, Any, Outcome]) -> Outcome | Held:
        """Send it, now that it is written down, and decide what its outcome means.

        Raises:
            LeaseLost, Stopped, Released: as `Asker.sent`; what was not sent yet when the
                brake was pulled is recorded so, and may be asked again.
        """
        if (error := self.asker.brake.error(self.asker.claimed.lease)) is None:
            return await self.came_back(await self.asker.sent(call))
        call.close()
        unsent = {"detail": f"it was not sent: {self.asker.brake.why}"}
        self.asker.settled.append(
            Settled(place=self.place, state=EffectState.RETRYING, attempt_failed=unsent)
        )
        raise error

    async def came_back(self, outcome: Outcome) -> Outcome | Held:
        """Decide what a real outcome means: keep it, try again later, or ask a person."""
        faults.point("call.after")
        if isinstance(outcome, Done):
            return self._settle(outcome)
        if outcome.in_doubt and self.effect is EffectClass.ONCE:
            return await self.in_doubt(f"{outcome.error_class}: {outcome.detail}")
        number = 1 + (0 if self.recorded is None else self.recorded.attempt)
        attempt = retry.Attempt(
            key=self.key,
            number=number,
            error_class=outcome.error_class,
            retry_after=outcome.retry_after,
        )
        now = self.asker.shell.clock()
        decision = retry.decide(
            self.retry_policy(), attempt, now=now, deadline=self.asker.claimed.deadline
        )
        match decision:
            case retry.RetryAt(when=when):
                return self._again(outcome, number, when)
            case retry.GiveUp():
                return self._settle(outcome)
            case never:
                assert_never(never)

    def _again(self, failed: Failed, number: int, when: datetime) -> Held:
        self.asker.settled.append(
            Settled(
                place=self.place,
                state=EffectState.RETRYING,
                error_class=failed.error_class,
                usage=failed.usage,
                attempt_failed={
                    "attempt": number,
                    "error_class": failed.error_class,
                    "detail": failed.detail[:500],
                    "next": when.isoformat(),
                },
            )
        )
        return Held(reason=Reason.TIMER, until=when)

    def _settle(self, outcome: Outcome) -> Outcome:
        failed = isinstance(outcome, Failed)
        self.asker.settled.append(
            Settled(
                place=self.place,
                state=EffectState.FAILED if failed else EffectState.DONE,
                outcome=outcome_to_json(outcome),
                error_class=outcome.error_class if isinstance(outcome, Failed) else "",
                usage=outcome.usage,
            )
        )
        return outcome


def _approval(row: Recorded) -> Approved | None:
    if row.approval not in {"approved", "not_happened", "happened"}:
        return None
    return Approved(digest=row.approval_digest, policy_version=row.approval_policy)


def outcome_to_json(outcome: Outcome) -> Json:
    """Write an outcome down for the ledger."""
    match outcome:
        case Done(value=value):
            return {"value": value}
        case Failed(error_class=error_class, detail=detail, in_doubt=in_doubt):
            return {"failed": error_class, "detail": detail, "in_doubt": in_doubt}
        case never:
            assert_never(never)


def outcome_from_json(raw: Mapping[str, Any]) -> Outcome:
    """Read an outcome back; its use was settled when it was written."""
    if "failed" in raw:
        return Failed(
            error_class=ErrorClass(raw["failed"]),
            detail=raw["detail"],
            in_doubt=raw.get("in_doubt", False),
            usage=Usage(),
        )
    return Done(value=raw["value"])
