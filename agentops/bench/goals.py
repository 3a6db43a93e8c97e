"""What is to be reached, beside what was measured."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from agentops.bench.tables import Table


@dataclass(frozen=True, slots=True)
class Goal:
    """A bound for a figure: at least, or at most."""

    what: str
    measured: float
    bound: float
    at_least: bool = False

    @property
    def met(self) -> bool:
        return self.measured >= self.bound if self.at_least else self.measured <= self.bound

    def figures(self) -> dict[str, Any]:
        """Give it for the last line."""
        return {
            "goal": self.what,
            "at_least" if self.at_least else "at_most": self.bound,
            "measured": round(self.measured, 4),
            "met": self.met,
        }

    def row(self) -> list[str]:
        """Give it for a table."""
        sign = "≥" if self.at_least else "≤"
        met = "met" if self.met else "not met"
        return [self.what, f"{sign} {self.bound:.3g}", f"{self.measured:.3g}", met]


def goals_table(goals: Iterable[Goal]) -> Table:
    """Set the goals beside what was measured."""
    return Table("Goals", ["", "goal", "measured", ""], [goal.row() for goal in goals])
