"""One storm, from the first server to the verdict.

stage ─▶ faults by the timetable ─▶ everything put right ─▶ quiet ─▶ facts ─▶ check
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

import psycopg

from agentops.storm import facts
from agentops.storm.check import FINAL, Facts, Findings, check
from agentops.storm.people import People, cast
from agentops.storm.plan import OWN_DATABASE, OWN_REDIS, Kind, Strike, timetable
from agentops.storm.recovery import Recovery
from agentops.storm.stage import Stage, stage
from agentops.storm.weather import Weather

LOOK_SECONDS: Final = 0.1
SAY_SECONDS: Final = 5.0
AGAIN_SECONDS: Final = 0.3
OVERTIME_SECONDS: Final = 10.0
"""For faults that found nobody to hit before the end of the storm."""
ENOUGH: Final = 0.95
STARTED_BY: Final = 0.9
"""By which part of a storm all runs are started: there are some for the kills at its end."""
MOST_LINES: Final = 20

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command was asked for."""

    runs: int = 200
    seconds: float = 60.0
    seed: int = 0
    quiet: float = 90.0
    recovery: float = 10.0
    only: tuple[Kind, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a storm did, and what is to be said of it."""

    asked: Options
    findings: Findings
    fired: dict[str, int]
    people: dict[str, int]
    recovery: dict[str, Any]
    zombies_that_held: int
    quiet_seconds: float
    ends: dict[str, int]

    def faults(self) -> list[str]:
        """Name what makes this a failed storm."""
        found = self.findings
        lines = [*found.lost, *found.duplicated, *found.broken]
        lines += [f"no {kind} happened" for kind, times in self.fired.items() if not times]
        if found.ended < ENOUGH * self.asked.runs:
            lines.append(f"only {found.ended} of {self.asked.runs} runs ended")
        longest = self.recovery["max_recovery_seconds"]
        if longest > self.asked.recovery:
            lines.append(f"a killed worker's runs stood still for {longest:g} s")
        return lines

    def line(self) -> str:
        """Say everything in one line of JSON."""
        found = self.findings
        return json.dumps(
            {
                "runs": self.asked.runs,
                "ended": found.ended,
                "waiting_for_named": found.waiting_for_named,
                "lost": len(found.lost),
                "duplicated": len(found.duplicated),
                "broken": len(found.broken),
                "faults": self.fired,
                **self.recovery,
                "people": self.people,
                "ends": self.ends,
                "zombies_that_held": self.zombies_that_held,
                "quiet_seconds": round(self.quiet_seconds, 1),
                "seconds": self.asked.seconds,
                "seed": self.asked.seed,
            }
        )


def storm(asked: Options, say: Say) -> Report:
    """Raise a storm and judge it.

    Raises:
        ServerUnavailable: the database or Redis cannot be started.
        ProcessFailed: a process cannot.
    """
    left_out = _left_out() | (frozenset(Kind) - set(asked.only or Kind))
    if _left_out():
        say(f"Left out, because the servers are not ours: {', '.join(sorted(_left_out()))}.")
    strikes = timetable(asked.seed, asked.seconds, left_out)
    say(f"Seed {asked.seed}: {len(strikes)} faults in {asked.seconds:g} s over {asked.runs} runs.")
    with stage() as up:
        people = People(
            up.driver, cast(asked.seed, asked.runs), asked.seconds * STARTED_BY, asked.seed
        )
        session = Session(asked, up, Weather(up, people, Recovery()), people, say)
        try:
            session.blow(strikes, left_out)
            session.wait()
            return session.report(left_out)
        finally:
            people.end()


def _left_out() -> frozenset[Kind]:
    """Name the faults that would hurt servers which are not ours."""
    redis = OWN_REDIS if os.environ.get("REDIS_URL") else frozenset()
    return redis | (OWN_DATABASE if os.environ.get("DATABASE_URL") else frozenset())


@dataclass
class Session:
    """One storm under way."""

    asked: Options
    stage: Stage
    weather: Weather
    people: People
    say: Say
    seen_ended: dict[str, list[Any]] = field(default_factory=dict)
    quiet_seconds: float = 0.0
    _said: float = 0.0
    _states: Counter[str] = field(default_factory=Counter)

    def blow(self, strikes: list[Strike], left_out: frozenset[Kind]) -> None:
        """Carry the timetable out; a fault that finds nobody to hit comes again in a moment."""
        self.people.begin()
        began, left = time.monotonic(), list(strikes)
        try:
            while (now := time.monotonic() - began) < self.asked.seconds + OVERTIME_SECONDS:
                self.weather.pass_on()
                if left and left[0].at <= now:
                    strike = left.pop(0)
                    if not self.weather.strike(strike):
                        left = sorted([*left, replace(strike, at=now + AGAIN_SECONDS)])
                    continue
                self._look()
                self.weather.count()
                if not left and now >= self.asked.seconds and not self._missing(left_out):
                    break
                time.sleep(LOOK_SECONDS)
        finally:
            self.weather.clear()

    def _missing(self, left_out: frozenset[Kind]) -> set[Kind]:
        return {kind for kind in Kind if kind not in left_out and not self.weather.fired[kind]}

    def wait(self) -> None:
        """Wait in the quiet, for a bounded time, until every run has ended."""
        self.say("Quiet.")
        began = time.monotonic()
        while time.monotonic() < began + self.asked.quiet:
            self._look()
            if self.people.all_accepted and len(self.seen_ended) >= self.asked.runs:
                break
            time.sleep(LOOK_SECONDS)
        self.quiet_seconds = time.monotonic() - began

    def report(self, left_out: frozenset[Kind]) -> Report:
        """Read what there is to know, and judge."""
        self.people.end()
        rows = self.stage.eyes.rows
        known = Facts(
            accepted={name: self.people.accepted.get(name, "") for name in self.people.wanted},
            runs=rows(facts.RUNS),
            effects=rows(facts.EFFECTS),
            outside=self.stage.outside(),
            audited={row["what"]: row["times"] for row in rows(facts.AUDITED)},
            seen_ended=self.seen_ended,
        )
        self.weather.count()
        fired = {kind.value: self.weather.fired[kind] for kind in Kind if kind not in left_out}
        return Report(
            asked=self.asked,
            findings=check(known),
            fired=fired,
            people=dict(sorted(self.people.did.items())),
            recovery=dict(self.weather.recovery.result()),
            zombies_that_held=self.weather.zombies_that_held,
            quiet_seconds=self.quiet_seconds,
            ends=dict(Counter(run["state"] for run in known.runs)),
        )

    def _look(self) -> None:
        """See how runs stand: for the recovery, for those that ended, and to say it."""
        if self.people.failure is not None:
            raise self.people.failure
        try:
            found = self.stage.eyes.rows(facts.STANDS)
        except psycopg.Error:
            return
        now = time.monotonic()
        self._states = Counter(row["state"] for row in found)
        for row in found:
            self.weather.recovery.see(row["id"], row["event_seq"], now)
            if row["state"] in FINAL and row["id"] not in self.seen_ended:
                self.seen_ended[row["id"]] = [
                    row[name] for name in ("state", "event_seq", "super_step")
                ]
        if now >= self._said + SAY_SECONDS:
            self._said = now
            stand = ", ".join(f"{count} {state}" for state, count in sorted(self._states.items()))
            self.say(f"  {sum(self.weather.fired.values())} faults; {stand or 'no runs yet'}")
