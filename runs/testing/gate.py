"""A gate that lets everything through."""

from __future__ import annotations

from policy.core.gate import Barred, Cleared, Outgoing
from policy.core.outcomes import Outcome


class OpenGate:
    """The gate's part of a `World` without limits and breakers."""

    def cleared(self, outgoing: Outgoing) -> Cleared | None:
        """Let it through."""
        return Cleared(outgoing)

    def clear(self, outgoing: Outgoing) -> Cleared | Barred:
        """Let it through."""
        return Cleared(outgoing)

    def is_back(self, cleared: Cleared, outcome: Outcome | None) -> bool:  # noqa: ARG002
        """Learn nothing."""
        return True

    def back(self, cleared: Cleared, outcome: Outcome | None) -> None:
        """Learn nothing."""
