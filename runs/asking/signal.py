"""Waiting for a signal: what somebody outside tells the run by name."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from policy.core.json import Json, digest
from policy.core.outcomes import Done, ErrorClass, Failed, Outcome
from policy.core.provenance import Label
from policy.core.rules.decide import EffectClass
from policy.enforce import Approved
from policy.provenance import Answer
from runs.asking.asker import Asker
from runs.asking.effect import Asking
from runs.asking.outcomes import outcome_to_json
from runs.asking.told import said
from runs.core.effects import EffectKind, EffectState, Recorded
from runs.core.lifecycle import Reason
from runs.core.results import Held


class AskingSignal(Asking):
    """Wait for a signal of a name; one that came before anybody waited is as good."""

    kind = EffectKind.SIGNAL
    effect = EffectClass.READ

    def __init__(self, asker: Asker, ordinal: int, name: str, seconds: float | None) -> None:
        super().__init__(asker, ordinal)
        self.name, self.seconds = name, seconds

    def digest(self) -> str:
        """Name the question: which signal, for how long."""
        return digest("signal", self.name, self.request())

    def request(self) -> Json:
        """Give what the ledger keeps of it."""
        return {"timeout": self.seconds}

    def told(self, outcome: Outcome) -> None:
        """Note what somebody outside told the run."""
        value = said(outcome_to_json(outcome))
        self.asker.answered.append(
            Answer(place=self.key, name=self.name, label=Label.SIGNAL, value=value)
        )

    async def judged(self, approved: Approved | None) -> Outcome | Held:  # noqa: ARG002 - waiting needs no leave
        """Take the signal if it is there; else write down until when to wait for it."""
        if self.seconds is None:
            return await self._take(None)
        return await self._take(self.asker.shell.clock() + timedelta(seconds=self.seconds))

    async def _held(self, row: Recorded) -> Outcome | Held:
        raw: Any = row.outcome
        return await self._take(raw["due"] and datetime.fromisoformat(raw["due"]))

    async def _take(self, due: datetime | None) -> Outcome | Held:
        """Look for it; what came in time is taken even if it is looked at late."""
        outcome = {"due": due and due.isoformat()}
        taken = await self.asker.take_signal(self._put(EffectState.HELD, outcome=outcome))
        if taken is not None:
            return self._settle(Done(value=taken["payload"]))
        if due is not None and self.asker.claimed.now >= due:
            detail = f"no signal {self.name!r} came within {self.seconds:g} s"
            return self._settle(Failed(error_class=ErrorClass.TIMEOUT, detail=detail))
        return Held(reason=Reason.SIGNAL, until=due)
