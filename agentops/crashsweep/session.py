"""One sweep, from the first server to the verdict. Everything started here ends here."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

from agentops.crashsweep.report import Hit, Played, Report
from agentops.proving import compare
from agentops.proving.stage import AGENTS, Stage, StalledError, stage
from runs.faults import VARIABLE

PATIENCE_SECONDS: Final = 40.0
TRIES: Final = 3
GOOD: Final = "succeeded"
NOBODY: Final = Hit("nobody", 0)
QUICK: Final = {
    "AGENTOPS_LEASE_SECONDS": "1",
    "AGENTOPS_SWEEP_SECONDS": "0.1",
    "AGENTOPS_BURST_SUPER_STEPS": "2",  # so that a chain of three is chained to another message
}

Say = Callable[[str], None]
Twins = Mapping[str, Mapping[str, Any]]


class WrongHitError(Exception):
    """What was asked for names no hit of the play."""


class WrongPlayError(Exception):
    """A play without a fault is not right; there is nothing to compare with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Which hits are tried: those of some points (patterns), each n-th, each first, or one."""

    every: int = 1
    points: str | None = None
    limit: int | None = None
    first: bool = False
    hit: str | None = None


def chosen(options: Options, hits: Mapping[str, int]) -> list[Hit]:
    """Choose the hits to be killed at.

    Raises:
        WrongHitError: none fits; the message names the points that there are.
    """
    whole = [Hit(name, n + 1) for name in sorted(hits) for n in range(hits[name])]
    if options.hit is not None:
        wanted = [hit for hit in whole if str(hit) == options.hit]
    else:
        patterns = (options.points or "*").split(",")
        wanted = [hit for hit in whole if any(fnmatchcase(hit.point, p) for p in patterns)]
        wanted = [hit for hit in wanted if hit.number == 1] if options.first else wanted
        wanted = wanted[:: options.every][: options.limit]
    if not wanted:
        known = ", ".join(f"{name}:1-{hits[name]}" for name in sorted(hits))
        raise WrongHitError(f"no such hit; the play has {known}")
    return wanted


def sweep(options: Options, say: Say) -> Report:
    """Be killed at each chosen hit, and compare each end with the fault-free one.

    Raises:
        WrongHitError: the options fit no hit.
        WrongPlayError: the fault-free play is not right.
        ServerUnavailable, ProcessFailed: as `proving.stage`.
        StalledError: not even the fault-free play ends.
    """
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="crashsweep-") as folder:
        faults = Path(folder)
        with stage({**QUICK, VARIABLE: folder}) as shown:
            session = _Session(shown, faults, say)
            twins, hits = session.fault_free()
            wanted = chosen(options, hits)
            say(f"{len(hits)} points, {sum(hits.values())} hits; {len(wanted)} kills to come.")
            played = [
                session.killed(hit, twins, f"{number}/{len(wanted)}")
                for number, hit in enumerate(wanted, 1)
            ]
    return Report(
        points=len(hits),
        hits=sum(hits.values()),
        played=played,
        seconds=time.monotonic() - began,
    )


@dataclass
class _Session:
    """Plays on one stage."""

    shown: Stage
    faults: Path
    say: Say
    plays: int = 0

    def fault_free(self) -> tuple[Twins, dict[str, int]]:
        """Play without a kill: the twins to compare with, and the hits there are."""
        ids = self._play(NOBODY)
        hits = Counter((self.faults / "hits").read_text("utf-8").split())
        ends = self.shown.ends(list(ids.values()))
        twins = {agent: ends[run] for agent, run in ids.items()}
        wrong = self._wrong(ids, twins, ends)[0]
        wrong += [f"{name}: {end['state']}" for name, end in twins.items() if end["state"] != GOOD]
        if wrong:
            raise WrongPlayError(f"even without a fault: {', '.join(wrong)}")
        return twins, dict(hits)

    def killed(self, hit: Hit, twins: Twins, which: str) -> Played:
        """Play with a kill; again if the hit did not come, as chance has it now and then."""
        played = self._killed(hit, twins)
        for _ in range(TRIES - 1):
            if played.fired or not played.is_right:
                break
            played = self._killed(hit, twins)
        told = "same end" if played.is_right else f"NOT THE SAME ({', '.join(played.differs)})"
        told = told if played.fired else f"{told}, never came"
        self.say(f"{which:>9}  {hit!s:<22} {told}  {played.seconds:.1f} s")
        return played

    def _killed(self, hit: Hit, twins: Twins) -> Played:
        began = time.monotonic()
        ids = {}
        try:
            ids = self._play(hit)
            stalled: Sequence[str] = ()
        except StalledError as error:
            stalled = [str(error)]
        if stalled:
            return self._judged(hit, stalled, (0, 0), began)
        differs, counts = self._wrong(ids, twins, self.shown.ends(list(ids.values())))
        return self._judged(hit, differs, counts, began)

    def _wrong(
        self, ids: Mapping[str, str], twins: Twins, ends: Mapping[str, Any]
    ) -> tuple[list[str], tuple[int, int]]:
        """Name what differs from the twins and from the outside; count effects there."""
        seen = self.shown.outside()
        differs = [
            f"{agent}: {name}"
            for agent, run in ids.items()
            for name in compare.differences(ends[run], twins[agent])
        ]
        found = [
            (agent, compare.outside(end, seen.get(end["run"], ())))
            for agent, run in ids.items()
            for end in compare.whole(ends[run])
        ]
        differs += [f"{agent}: outside" for agent, one in found if one.duplicated or one.missing]
        every = [one for _, one in found]
        return differs, (sum(one.duplicated for one in every), sum(one.missing for one in every))

    def _judged(
        self, hit: Hit, differs: Sequence[str], counts: tuple[int, int], began: float
    ) -> Played:
        hits = (self.faults / "hits").read_text("utf-8").split()
        return Played(
            hit=hit,
            fired=hits.count(hit.point) >= hit.number,
            differs=differs,
            duplicated=counts[0],
            missing=counts[1],
            seconds=time.monotonic() - began,
        )

    def _play(self, hit: Hit) -> dict[str, str]:
        """Play every agent once, with a kill at a hit."""
        self.plays += 1
        self.shown.forget_files()
        self._arm(hit)
        try:
            ids = self.shown.start(f"play-{self.plays}", AGENTS)
            self.shown.finish(list(ids.values()), patience=PATIENCE_SECONDS)
        finally:
            (self.faults / "kill").unlink()
        return ids

    def _arm(self, hit: Hit) -> None:
        (self.faults / "hits").write_text("", "utf-8")
        written = self.faults / "kill.new"
        written.write_text(f"{hit.point} {hit.number}", "utf-8")
        written.replace(self.faults / "kill")
