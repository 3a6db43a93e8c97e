"""A gate that lets everything through, and everything out."""

from __future__ import annotations

from collections.abc import Collection

from policy.core.gate import Barred, Cleared, Outgoing
from policy.core.outcomes import Outcome
from policy.provenance.answers import Rules
from runs.ports import Claimed


class OpenGate:
    """The part of a `World` that holds back: without limits, breakers, or secrets to keep."""

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

    def answer_rules(self, claimed: Claimed) -> Rules:  # noqa: ARG002 - the same for all
        """Know of no secrets."""
        return Rules()

    def foreign(self, tenant_id: str, ids: Collection[str]) -> set[str]:  # noqa: ARG002
        """Know of nobody else."""
        return set()
