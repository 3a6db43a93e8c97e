"""A sleep of a task: a moment written into the ledger, and nothing held until it comes."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from policy.core.json import Json, digest
from policy.core.outcomes import Done, Outcome
from policy.core.rules.decide import EffectClass
from policy.enforce import Approved
from runs.asking.asker import Asker
from runs.asking.effect import Asking
from runs.core.effects import EffectKind, EffectState, Recorded
from runs.core.lifecycle import Reason
from runs.core.results import Held


class AskingTimer(Asking):
    """Wait until a moment that is chosen once: a replay waits for the same one."""

    kind = EffectKind.TIMER
    name = "sleep"
    effect = EffectClass.READ

    def __init__(self, asker: Asker, ordinal: int, seconds: float) -> None:
        super().__init__(asker, ordinal)
        self.seconds = seconds

    def digest(self) -> str:
        """Name the question: how long."""
        return digest("timer", self.request())

    def request(self) -> Json:
        """Give what the ledger keeps of it."""
        return {"seconds": self.seconds}

    async def judged(self, approved: Approved | None) -> Outcome | Held:  # noqa: ARG002 - a sleep needs no leave
        """Write down the moment at which it is over."""
        due = self.asker.shell.clock() + timedelta(seconds=self.seconds)
        await self.asker.put(self._put(EffectState.HELD, outcome={"due": due.isoformat()}))
        return Held(reason=Reason.TIMER, until=due)

    async def _held(self, row: Recorded) -> Outcome | Held:
        """Compare with the moment of the claim, so that the database's clock decides."""
        raw: Any = row.outcome
        due = datetime.fromisoformat(raw["due"])
        if self.asker.claimed.now < due:
            return Held(reason=Reason.TIMER, until=due)
        return self._settle(Done(value=None))
