"""`manage.py load`: one tenant submits thousands of runs; does another one wait for them?"""

from __future__ import annotations

import argparse
from typing import Any

from django.core.management.base import CommandParser

from agentops.load.clients import RefusedError
from agentops.load.session import Options, StalledError, load
from agentops.management.proof import ProofCommand, chosen, count, seconds


class Command(ProofCommand):
    """Put a load on servers of its own and measure; it judges nothing."""

    help = __doc__ or ""
    failures = (StalledError, RefusedError)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--runs", type=count, metavar="N", default=10_000)
        parser.add_argument(
            "--http", type=count, metavar="N", default=500, help="so many of them over HTTP"
        )
        parser.add_argument("--steps", type=count, metavar="N", default=3, help="of each run")
        parser.add_argument(
            "--step", type=seconds, metavar="S", default=0.1, help="how long a step waits"
        )
        parser.add_argument(
            "--every",
            type=_pause,
            metavar="S",
            default=2.0,
            help="the other tenant submits a run as often as this",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Measure; the last line is one JSON object."""
        asked = Options(**chosen(options, Options))
        self.say(self.prove(lambda: load(asked, self.say)).line())


def _pause(text: str) -> float:
    try:
        return seconds(text, least=0.05)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
