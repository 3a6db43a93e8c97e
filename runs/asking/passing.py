"""At the gate: a call that may be sent waits here until its dependency is well and has room."""

from __future__ import annotations

from datetime import timedelta
from types import TracebackType

from policy.core.gate import Barred, Cleared, Outgoing
from policy.core.outcomes import Outcome
from runs.core.lifecycle import Reason
from runs.core.results import Held
from runs.shell import Shell


class Passing:
    """One call's way through the gate.

    Entered once it was let through; what it took and did not use is given back when it is
    left, whatever happened in between. `outcome` is what the dependency answered, if it did.
    """

    def __init__(self, shell: Shell) -> None:
        self._shell = shell
        self._cleared: Cleared | None = None
        self.outcome: Outcome | None = None

    async def knock(self, outgoing: Outgoing) -> Held | None:
        """Be let through, or be told to wait; a wait holds nothing and counts no attempt."""
        shell = self._shell
        answer: Cleared | Barred | None = shell.world.cleared(outgoing)
        if answer is None:
            answer = await shell.loop.in_thread(shell.world.clear, outgoing)
        if isinstance(answer, Barred):
            until = shell.clock() + timedelta(seconds=answer.seconds)
            return Held(reason=Reason(answer.reason), until=until)
        self._cleared = answer
        return None

    async def __aenter__(self) -> None:
        """Go through."""

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Say what became of the call."""
        if self._cleared is None or self._shell.world.is_back(self._cleared, self.outcome):
            return
        await self._shell.loop.in_thread(self._shell.world.back, self._cleared, self.outcome)
