"""`manage.py storm`: random faults on real servers, then quiet, then the checker."""

from __future__ import annotations

import argparse
import secrets
import sys
from typing import Any

from django.core.management.base import CommandParser

from agentops.management.proof import ProofCommand, chosen, count, seconds
from agentops.storm.plan import Kind
from agentops.storm.session import MOST_LINES, Options, storm


class Command(ProofCommand):
    """Raise a storm; exit with 0 only if nothing was lost, doubled or broken."""

    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--runs", type=count, metavar="N", default=200)
        parser.add_argument("--seconds", type=_seconds, metavar="S", default=60.0)
        parser.add_argument("--seed", type=int, help="the same faults at the same moments again")
        parser.add_argument(
            "--quiet", type=_seconds, metavar="S", default=90.0, help="the longest quiet after it"
        )
        parser.add_argument(
            "--only",
            type=_kinds,
            metavar="KIND,...",
            default=(),
            help=f"only these faults, of: {', '.join(Kind)}",
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
        asked = Options(**chosen(options, Options))
        report = self.prove(
            lambda: storm(asked, self.say), stopped=f"Stopped. --seed {asked.seed} repeats it."
        )
        faults = report.faults()
        for line in faults[:MOST_LINES]:
            self.say(f"WRONG: {line}")
        if len(faults) > MOST_LINES:
            self.say(f"... and {len(faults) - MOST_LINES} more")
        self.say(report.line())
        if faults:
            sys.exit(1)


def _kinds(text: str) -> tuple[Kind, ...]:
    try:
        return tuple(Kind(name) for name in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}; there are: {', '.join(Kind)}") from None


def _seconds(text: str) -> float:
    return seconds(text, least=1)
