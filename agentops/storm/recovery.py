"""How long runs stand still after the worker that held them was killed.

A run counts as going on at its next commit by whoever comes after: an event, a
super-step, an end. A second kill that hits it again starts its clock anew. What overlaps
a broker or a database that was away is counted apart: then it is not the kill that is
waited for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

Held = tuple[str, int]
HELD: Final = """
SELECT id::text, event_seq FROM runs_run
WHERE state = 'running' AND (worker = ANY (%(workers)s) AND lease_expires_at > clock_timestamp()
  OR EXISTS (SELECT FROM runs_task AS t WHERE t.run_id = runs_run.id
    AND t.super_step = runs_run.super_step AND t.state = 'running'
    AND t.worker = ANY (%(workers)s)))
"""


@dataclass(slots=True)
class Recovery:
    """Watches runs whose worker was killed."""

    _watched: dict[str, tuple[int, float]] = field(default_factory=dict)
    _outages: list[tuple[float, float]] = field(default_factory=list)
    _samples: list[tuple[float, float]] = field(default_factory=list)

    def killed(self, held: Iterable[Held], at: float) -> None:
        """A worker that held these runs was killed."""
        for run_id, event_seq in held:
            self._watched[run_id] = (event_seq, at)

    def outage(self, begin: float, end: float) -> None:
        """Something that everybody needs was away in between."""
        self._outages.append((begin, end))

    def waiting(self) -> list[str]:
        """Give the runs that have not gone on."""
        return list(self._watched)

    def see(self, run_id: str, event_seq: int, at: float) -> None:
        """Look at a run."""
        before = self._watched.get(run_id)
        if before is not None and event_seq > before[0]:
            self._samples.append((before[1], at))
            del self._watched[run_id]

    def result(self) -> Mapping[str, Any]:
        """Give the longest times, and of how many."""
        alone = [end - begin for begin, end in self._samples if not self._overlaps(begin, end)]
        shared = [end - begin for begin, end in self._samples if self._overlaps(begin, end)]
        return {
            "max_recovery_seconds": round(max(alone, default=0.0), 2),
            "recovered": len(alone),
            "max_recovery_seconds_with_outage": round(max(shared, default=0.0), 2),
            "recovered_with_outage": len(shared),
        }

    def _overlaps(self, begin: float, end: float) -> bool:
        return any(first <= end and last >= begin for first, last in self._outages)
