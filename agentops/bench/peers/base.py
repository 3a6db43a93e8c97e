"""What every peer can do, and what may be wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from agentops.bench.measure import Size


@dataclass(frozen=True, slots=True)
class Layout:
    """So many processes of so many threads."""

    processes: int
    threads: int

    def __str__(self) -> str:
        return f"{self.processes}x{self.threads}"


@dataclass(frozen=True, slots=True)
class Went:
    """How long it took, and how many super-steps were committed."""

    seconds: float
    steps: int

    @property
    def rate(self) -> float:
        """Give super-steps per second."""
        return self.steps / self.seconds


class Peer(Protocol):
    """Something that plays the workload."""

    @property
    def name(self) -> str: ...

    @property
    def layout(self) -> Layout: ...

    @property
    def database_url(self) -> str | None:
        """Name its database; None where it keeps its state in a store of its own."""
        ...

    def size(self) -> Size:
        """Measure what it keeps on disk."""
        ...

    def roots(self) -> list[int]:
        """Give the processes whose CPU is this peer's, beside the database server's."""
        ...

    def prepare(self, runs: int, steps: int) -> None: ...

    def go(self) -> Went: ...

    def trace(self, steps: int) -> Trace:
        """Play one run alone."""
        ...


class Resumes(Protocol):
    """Something that goes on with a run that it has not in hand."""

    @property
    def name(self) -> str: ...

    def resume(self, steps: int) -> float:
        """Go on with a run of so many steps; give the seconds until one more is committed."""
        ...


@dataclass(frozen=True, slots=True)
class Trace:
    """One run alone: seconds between its steps, and from its submission to the first one."""

    gaps: Sequence[float]
    first: float | None = None


class WrongError(Exception):
    """A peer did not do what it was asked to; its figures would mean nothing."""


class MissingError(Exception):
    """A peer is not installed; the message says what is missing."""
