"""The simulated broker, and the outbox before it: a row stays until its message has left.

commit ─▶ row ─▶ sent by whoever committed ─▶ row removed
             └──▶ left behind: sent by the relay, later, perhaps once more
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from runs.ports import Nudge
from runs.testing.simulation.bugs import Bug
from runs.testing.simulation.ground import Ground

LATE = timedelta(hours=3)


def _nothing() -> None:
    """Nothing happens in between."""


class Post:
    """Carries messages from the outbox to the broker; there they are lost, doubled, or late."""

    def __init__(self, ground: Ground, bug: Bug) -> None:
        self._ground, self._bug = ground, bug
        self.broker: list[tuple[datetime, Nudge]] = []

    def carry(self, nudges: Iterable[Nudge], between: Callable[[], None] = _nothing) -> None:
        """Send what was committed, then remove the rows of what left, as `runs.outbox.Sender`."""
        wanted = list(nudges)
        left = self._send(wanted)
        between()
        self._forget(wanted if self._bug.sender_forgets else left)

    def relay(self) -> None:
        """Send what lies in the outbox; where not all of it leaves, all of it stays."""
        rows = list(self._ground.store.outbox.values())
        is_whole = len(self._send(rows)) == len(rows)
        if self._bug.relay_forgets or (is_whole and not self._ground.strikes("relay_killed", 0.05)):
            self._forget(rows)

    def _send(self, nudges: list[Nudge]) -> list[Nudge]:
        """Send messages and give those that left: while the broker is away, none."""
        left = []
        for nudge in nudges:
            if self._ground.strikes("broker_away", 0.05):
                break
            self._arrive(nudge)
            left.append(nudge)
        return left

    def _arrive(self, nudge: Nudge) -> None:
        ground = self._ground
        late = LATE if ground.strikes("message_late", 0.03) else timedelta()
        copies = 2 if ground.strikes("message_doubled", 0.05) else 1
        if ground.strikes("message_lost", 0.05):
            copies = 0
        self.broker += [(ground.clock.now + late, nudge)] * copies
        ground.sent.add(nudge.outbox_id)

    def _forget(self, nudges: Iterable[Nudge]) -> None:
        self._ground.store.forget([n.outbox_id for n in nudges if n.outbox_id is not None])
        self._ground.look_at_outbox()
