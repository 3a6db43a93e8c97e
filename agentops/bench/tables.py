"""Tables, for a screen and for a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

LABELS = {
    "agentops": "AgentOps",
    "burst": "AgentOps, bursts",
    "strict": "AgentOps, a message per step",
    "effects": "AgentOps, bursts, an effect per step",
    "waits": "AgentOps, one worker",
    "langgraph": "LangGraph, PostgresSaver, sync",
    "dbos": "DBOS",
    "restate": "Restate",
}


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a header; the first column is words, the others are figures."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    def text(self) -> Iterator[str]:
        """Align the columns."""
        lines = [self.header, *self.rows]
        widths = [max(len(line[at]) for line in lines) for at in range(len(self.header))]
        yield ""
        yield self.title
        for first, *others in lines:
            told = "  ".join(
                cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)
            )
            yield f"{first.ljust(widths[0])}  {told}"

    def markdown(self) -> Iterator[str]:
        """Write it for a page."""
        yield ""
        yield f"**{self.title}**"
        yield ""
        for line in (self.header, ["---"] * len(self.header), *self.rows):
            yield f"| {' | '.join(line)} |"


def number(value: float | None, digits: int = 0) -> str:
    """Write a figure; a dash where there is none."""
    return "-" if value is None else f"{value:,.{digits}f}"
