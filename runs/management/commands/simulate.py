"""Play runs under simulated faults, and judge them: `manage.py simulate`."""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from typing import Any, Final

import structlog
from django.core.management.base import BaseCommand, CommandError, CommandParser

from runs.testing.simulation import BUGS, NONE, Bug, Played, learn, play

SHOWN: Final = 10
EVERY: Final = 1000


class Command(BaseCommand):
    """Simulate; the last line is one JSON object."""

    help = "Play many schedules of faults in memory, all chance from one seed, and check them."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Say how many and which, or which one to tell."""
        parser.add_argument("--schedules", type=int, default=1000, help="how many")
        parser.add_argument("--seed", type=int, default=1, help="the first; each has the next")
        parser.add_argument("--replay", type=int, metavar="SEED", help="tell one schedule's story")
        parser.add_argument("--bug", default="", help=f"put a bug in: {', '.join(sorted(BUGS))}")

    def handle(self, *_: Any, **options: Any) -> None:
        """Play and report.

        Raises:
            CommandError: a promise was broken, or there is no such bug.
        """
        quiet = structlog.make_filtering_bound_logger(logging.CRITICAL)
        structlog.configure(wrapper_class=quiet)
        if options["schedules"] < 1:
            raise CommandError("--schedules is a whole number of at least 1")
        bug = BUGS.get(options["bug"], NONE)
        if options["bug"] and bug is NONE:
            raise CommandError(f"no bug {options['bug']!r}; there are {', '.join(sorted(BUGS))}")
        learn()
        if options["replay"] is not None:
            played = play(options["replay"], bug=bug, tell=self.stdout.write)
            self._report([played], 0.0, options["replay"], bug)
            return
        began, all_played = time.process_time(), []
        for number in range(options["schedules"]):
            all_played.append(play(options["seed"] + number, bug=bug))
            if (number + 1) % EVERY == 0:
                self.stdout.write(f"{number + 1} schedules")
        self._report(all_played, time.process_time() - began, options["seed"], bug)

    def _report(self, all_played: list[Played], seconds: float, seed: int, bug: Bug) -> None:
        broken = [played for played in all_played if played.violations]
        with_bug = f" --bug {name}" if (name := _name(bug)) else ""
        for played in broken[:SHOWN]:
            self.stdout.write(f"seed {played.seed}: {'; '.join(played.violations[:3])}")
            self.stdout.write(f"  again: manage.py simulate --replay {played.seed}{with_bug}")
        fired: Counter[str] = sum((played.fired for played in all_played), Counter())
        told = {
            "schedules": len(all_played),
            "faults_fired": dict(sorted(fired.items())),
            "violations": len(broken),
            "per_minute": int(len(all_played) / seconds * 60) if seconds else 0,
            "seed": seed,
        }
        self.stdout.write(json.dumps(told))
        if broken and bug is NONE:
            raise CommandError(f"{len(broken)} schedules broke a promise")


def _name(bug: Bug) -> str:
    return next((name for name, known in BUGS.items() if known is bug), "")
