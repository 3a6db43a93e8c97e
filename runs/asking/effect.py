"""The life of one effect: asked, judged, written down, sent, and what came of it.

in the ledger?  done, failed ─────────────▶ that outcome, again
                held, unknown ────────────▶ what the person said, or wait on
                claimed, never finished ──▶ its worker died: ask again under the same
                                            key; a `once` tool goes to its reconcile
                                            hook (`doubt`), and then to a person
                retrying, or no row ──────▶ judge, write down, send
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Coroutine
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar, assert_never

from policy.core.json import Json, JsonObject
from policy.core.money import Amounts
from policy.core.outcomes import Done, ErrorClass, Failed, Outcome
from policy.core.retry import RetryPolicy
from policy.core.rules.decide import EffectClass
from policy.enforce import Approved
from runs import faults
from runs.asking.asker import Asker, unsent
from runs.asking.outcomes import outcome_from_json, outcome_to_json
from runs.asking.passing import Passing
from runs.core import retry
from runs.core.effects import SETTLED, EffectKind, EffectState, Recorded, effect_key
from runs.core.lifecycle import Reason
from runs.core.results import Held
from runs.errors import RunsError
from runs.ports import Put, PutEffect, Question, Settled

T = TypeVar("T")

SECONDS_TO_FIND_OUT: Final = 7 * 24 * 3600.0
"""How long a person has to say whether a call happened."""


SECONDS_FOR_MONEY: Final = 1.0
LONGEST_FOR_MONEY: Final = 15.0
"""Seconds between two looks for money that is only set aside: the first, and the longest."""


class Nondeterminism(RunsError):  # noqa: N818
    """A task that ran again asked something else at the same place than the ledger holds."""

    error_class = ErrorClass.NONDETERMINISM


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
        self.passing = Passing(asker.shell)
        self.attempts = 0 if self.recorded is None else self.recorded.attempt

    def told(self, outcome: Outcome) -> None:  # noqa: B027
        """Note what the task learns by the outcome; most questions teach nothing new."""

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
        if row.approval == "responded":
            return self._settle(Done(value=row.answer))
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
        if was_once or self.must_find_out():
            return await self.in_doubt("its worker died while it ran")
        return await self.judged(None if self.recorded is None else _approval(self.recorded))

    def retry_policy(self) -> RetryPolicy:
        """Say how often and how patiently a failed attempt is made again."""
        return self.asker.retry

    def must_find_out(self) -> bool:
        """Say whether it may not simply be asked again once it is in doubt."""
        return self.effect is EffectClass.ONCE

    async def in_doubt(self, why: str) -> Outcome | Held:
        """Ask a person whether it happened; it is never sent again without an answer."""
        question = Question(
            id=self.asker.shell.mint(),
            kind="outcome_unknown",
            digest=self.call_digest(),
            policy_version=self.asker.claimed.policy_version_id or "",
            rule="",
            reason=f"Did this happen? {why}",
            seconds=SECONDS_TO_FIND_OUT,
            **self.asked_about(),
        )
        await self.asker.put(self._put(EffectState.UNKNOWN, question=question, lost=why))
        return Held(reason=Reason.OUTCOME_UNKNOWN)

    def asked_about(self) -> dict[str, Any]:
        """Give what else a person is told of the call that they are asked about."""
        return {}

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
        """Write it down and set its money aside; Held where the money is not there.

        What must not be sent twice keeps its lease for the whole time in which it may be sent.
        """
        keep = self.asker.shell.ttl if self.effect is EffectClass.ONCE else 0.0
        more = {"reserve": reserve, "decision": decision or {}, "keep": keep}
        answer = await self.asker.put(self._put(EffectState.CLAIMED, **more))
        if answer is Put.OK:
            self.asker.claimed.tally.calls += reserve.tool_calls
            self.attempts += 1
            faults.point("call.before")
            return None
        if answer is Put.RESERVED:
            return Held(reason=Reason.BUDGET, until=self._soon())
        return Held(reason=Reason.BUDGET, exhausted=await self._lacking(answer, reserve))

    async def _lacking(self, unit: Put, wanted: Amounts) -> str:
        """Say what lacks; of an agent that ends for it, also which budget has how much left."""
        asked = f"{self.name} asks for {getattr(wanted, unit)} {unit}"
        if self.asker.program.on_exhausted == "pause":
            return asked
        shell, lease = self.asker.shell, self.asker.claimed.lease
        lacks = await shell.loop.in_thread(shell.store.read_lacking, lease, wanted)
        left = ", ".join(f"{one.left} {one.unit} in that of the {one.scope}" for one in lacks)
        return f"{asked}; left is {left}" if left else asked

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
            self.passing.outcome = outcome = await self.asker.sent(call)
            return await self.came_back(outcome)
        call.close()
        self.asker.settle(unsent(self.place, f"{self.asker.brake.why}"))
        raise error

    async def came_back(self, outcome: Outcome) -> Outcome | Held:
        """Decide what a real outcome means: keep it, try again later, or ask a person."""
        faults.point("call.after")
        if isinstance(outcome, Done):
            return self._settle(outcome)
        if outcome.in_doubt and self.must_find_out():
            return await self.in_doubt(f"{outcome.error_class}: {outcome.detail}")
        match self.whether_again(outcome, self.retry_policy()):
            case retry.RetryAt(when=when):
                return self._again(outcome, when)
            case retry.GiveUp():
                return self._settle(outcome)
            case never:
                assert_never(never)

    def whether_again(self, failed: Failed, patience: RetryPolicy) -> retry.RetryDecision:
        """Decide whether another attempt follows the last one, and when."""
        attempt = retry.Attempt(
            key=self.key,
            number=self.attempts,
            error_class=failed.error_class,
            retry_after=failed.retry_after,
        )
        now, deadline = self.asker.shell.clock(), self.asker.claimed.deadline
        return retry.decide(patience, attempt, now=now, deadline=deadline)

    def _again(self, failed: Failed, when: datetime) -> Held:
        self.asker.settle(
            Settled(
                place=self.place,
                state=EffectState.RETRYING,
                error_class=failed.error_class,
                usage=failed.usage,
                attempt_failed={
                    "attempt": self.attempts,
                    "error_class": failed.error_class,
                    "detail": failed.detail[:500],
                    "next": when.isoformat(),
                },
            )
        )
        return Held(reason=Reason.TIMER, until=when)

    def _settle(self, outcome: Outcome, found: JsonObject | None = None) -> Outcome:
        failed = isinstance(outcome, Failed)
        self.asker.settle(
            Settled(
                place=self.place,
                state=EffectState.FAILED if failed else EffectState.DONE,
                outcome=outcome_to_json(outcome),
                error_class=outcome.error_class if isinstance(outcome, Failed) else "",
                usage=outcome.usage,
                found=found,
            )
        )
        return outcome


def _approval(row: Recorded) -> Approved | None:
    if row.approval not in {"approved", "not_happened", "happened"}:
        return None
    return Approved(digest=row.approval_digest, policy_version=row.approval_policy)
