"""`manage.py storm`: random faults on real servers, then quiet, then the checker."""

from __future__ import annotations

import argparse
import math
import secrets
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from agentops.servers import ServerUnavailable
from agentops.stop_signals import raised_once
from agentops.storm.session import MOST_LINES, Options, Report, storm
from agentops.supervisor import ProcessFailed


class Command(BaseCommand):
    """Raise a storm; exit with 0 only if nothing was lost, doubled or broken."""

    help = __doc__ or ""
    requires_system_checks = []
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--runs", type=_count, metavar="N", default=200)
        parser.add_argument("--seconds", type=_seconds, metavar="S", default=60.0)
        parser.add_argument("--seed", type=int, help="the same faults at the same moments again")
        parser.add_argument(
            "--quiet", type=_seconds, metavar="S", default=90.0, help="the longest quiet after it"
        )
        parser.add_argument(
            "--recovery",
            type=_seconds,
            metavar="S",
            default=10.0,
            help="the longest that runs of a killed worker may stand still",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Raise it; the last line is one JSON object."""
        if options["seed"] is None:
            options["seed"] = secrets.randbelow(1_000_000)
        report = self._storm(Options(**{name: options[name] for name in Options.__slots__}))
        faults = report.faults()
        for line in faults[:MOST_LINES]:
            self._say(f"WRONG: {line}")
        if len(faults) > MOST_LINES:
            self._say(f"... and {len(faults) - MOST_LINES} more")
        self._say(report.line())
        if faults:
            sys.exit(1)

    def _storm(self, asked: Options) -> Report:
        try:
            with raised_once():
                return storm(asked, self._say)
        except (ServerUnavailable, ProcessFailed) as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            self._say(f"Stopped. --seed {asked.seed} repeats it.")
            sys.exit(130)

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 1 <= seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds, 1 or more")
    return seconds
