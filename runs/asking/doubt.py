"""A call of which nobody knows what came: its tool's reconcile hook is asked before a person is.

    in doubt ─▶ unknown ─▶ hook ─┬─ happened ─────▶ done, with the result that it told
                                 ├─ not happened ─▶ once its own time is over: asked again
                                 ├─ failed ───────▶ the hook again, `LOOKS` times in all
                                 └─ cannot tell ──▶ a person; what may be repeated, again

A request that was sent may still be on its way when its worker is long dead. So "not happened"
is believed only once the call's own time limit has passed since it was found in doubt.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final, assert_never

from policy.core.json import JsonObject
from policy.core.outcomes import Done, ErrorClass, Failed, Outcome
from policy.core.retry import RetryPolicy
from policy.core.rules.decide import EffectClass
from runs import faults
from runs.asking.effect import Asking
from runs.core import retry
from runs.core.effects import EffectState, Recorded
from runs.core.lifecycle import Reason
from runs.core.results import Held
from runs.ports import Settled
from tools.core.finding import CannotTell, Found, Happened, NotHappened, told
from tools.core.spec import ToolCall, ToolSpec

LOOKS: Final = 3
"""How often a hook that fails is asked before a person is."""

PATIENCE: Final = RetryPolicy(max_attempts=LOOKS, also=frozenset(ErrorClass))
LOOKING: Final = "looking"


class Doubted(Asking):
    """An effect of which its tool may be able to say what became of it."""

    spec: ToolSpec | None = None

    @abstractmethod
    def call_of(self, spec: ToolSpec) -> ToolCall:
        """Give the call, as it was or will be made."""

    def must_find_out(self) -> bool:
        """Say whether it may not simply be asked again: also where a hook knows better."""
        return super().must_find_out() or self._has_hook

    @property
    def _has_hook(self) -> bool:
        return self.spec is not None and bool(self.spec.reconcile)

    async def in_doubt(self, why: str) -> Outcome | Held:
        """Find out what came of it; a person is asked where nothing else can tell."""
        if self.spec is None or not self._has_hook:
            return await super().in_doubt(why)
        until = self.asker.shell.clock() + timedelta(seconds=self.spec.timeout)
        await self.asker.put(
            self._put(EffectState.UNKNOWN, lost=why, outcome=_looking(0, until, why))
        )
        return await self._look(0, until, why)

    async def _unknown(self, row: Recorded) -> Outcome | Held:
        looking = row.outcome.get(LOOKING) if isinstance(row.outcome, Mapping) else None
        if not isinstance(looking, Mapping):
            return await super()._unknown(row)
        why = str(looking["why"])
        if not self._has_hook:
            return await super().in_doubt(why)
        return await self._look(
            int(looking["looks"]), datetime.fromisoformat(looking["until"]), why
        )

    async def _look(self, looks: int, until: datetime, why: str) -> Outcome | Held:
        if self.spec is None:
            raise TypeError("only a known tool has a hook")
        self.asker.begins()
        shell = self.asker.shell
        faults.point("look.before")
        found: Found = await self.asker.sent(
            shell.world.find_out(self.call_of(self.spec), now=shell.clock())
        )
        faults.point("look.after")
        match found:
            case Happened(result=result):
                return self._settle(Done(value=result), told(found))
            case NotHappened() if shell.clock() < until:
                return self._look_again(found, looks, until, why, at=until)
            case NotHappened():
                return self._make_again(found, why)
            case CannotTell():
                return await self._nobody_knows(found, why)
            case Failed():
                return await self._hook_failed(found, looks + 1, until, why)
            case never:
                assert_never(never)

    async def _hook_failed(
        self, found: Failed, looks: int, until: datetime, why: str
    ) -> Outcome | Held:
        attempt = retry.Attempt(
            key=f"{self.key}/look",
            number=looks,
            error_class=found.error_class,
            retry_after=found.retry_after,
        )
        shell = self.asker.shell
        match retry.decide(
            PATIENCE, attempt, now=shell.clock(), deadline=self.asker.claimed.deadline
        ):
            case retry.RetryAt(when=when):
                return self._look_again(found, looks, until, why, at=when)
            case retry.GiveUp():
                return await self._nobody_knows(found, why)
            case never:
                assert_never(never)

    def _look_again(
        self, found: Found, looks: int, until: datetime, why: str, *, at: datetime
    ) -> Held:
        self._found(EffectState.UNKNOWN, found, _looking(looks, until, why))
        return Held(reason=Reason.TIMER, until=at)

    async def _nobody_knows(self, found: Found, why: str) -> Outcome | Held:
        """Ask a person, unless its class says that it may be repeated."""
        if self.effect is not EffectClass.ONCE:
            return self._make_again(found, why)
        self._found(EffectState.UNKNOWN, found)
        answer = f"{why}; its reconcile hook: {told(found).get('detail') or 'cannot tell'}"
        return await super().in_doubt(answer[:450])

    def _make_again(self, found: Found, why: str) -> Outcome | Held:
        """Make it again, under its key, as patiently as any failed attempt."""
        failed = Failed(
            error_class=ErrorClass.TRANSIENT_DEPENDENCY,
            detail=why,
            in_doubt=not isinstance(found, NotHappened),
        )
        match self.whether_again(failed, self.retry_policy()):
            case retry.RetryAt(when=when):
                self._found(EffectState.RETRYING, found)
                return Held(reason=Reason.TIMER, until=when)
            case retry.GiveUp():
                return self._settle(failed, told(found))
            case never:
                assert_never(never)

    def _found(self, state: EffectState, found: Found, outcome: JsonObject | None = None) -> None:
        self.asker.settle(
            Settled(place=self.place, state=state, outcome=outcome, found=told(found))
        )


def _looking(looks: int, until: datetime, why: str) -> dict[str, Any]:
    """What a later attempt must know: how often the hook failed, and when "not" is believed."""
    return {LOOKING: {"looks": looks, "until": until.isoformat(), "why": why[:400]}}
