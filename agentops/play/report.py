"""What a play says at its end: a table of what is wrong, and one line of JSON."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from agentops.play.judge import TaskVerdict, Verdict

SHOWN = 40


@dataclass(frozen=True, slots=True)
class Report:
    """The verdict, and the numbers that the product and the play itself have counted."""

    verdict: Verdict
    approvals: int
    unknown: int
    kills: int
    steps: int
    seconds: float
    calls: dict[str, dict[str, int]]

    @property
    def all_right(self) -> bool:
        return not self.verdict.wrong

    def line(self) -> str:
        """Return the last line of a play: one JSON object."""
        numbers = {
            **self.verdict.counts(),
            "unknown": self.unknown,
            "approvals": self.approvals,
            "kills": self.kills,
            "steps": self.steps,
            "seconds": round(self.seconds, 2),
            "calls": self.calls,
        }
        return json.dumps(numbers)

    def table(self) -> Iterator[str]:
        """Say which tasks are wrong and why, if any is."""
        wrong = self.verdict.wrong
        if not wrong:
            yield f"All {len(self.verdict.tasks)} tasks ended right."
            return
        yield f"{len(wrong)} of {len(self.verdict.tasks)} tasks are wrong:"
        width = max(len(_name(verdict)) for verdict in wrong[:SHOWN])
        for verdict in wrong[:SHOWN]:
            yield f"  {_name(verdict):<{width}}  {'; '.join(verdict.reasons)}"
        if len(wrong) > SHOWN:
            yield f"  … and {len(wrong) - SHOWN} more"


def _name(verdict: TaskVerdict) -> str:
    return f"task {verdict.task.label[:40]!r}"
