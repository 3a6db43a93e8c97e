"""`manage.py bench`: measure durable super-steps, beside LangGraph."""

from __future__ import annotations

import argparse
import re
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from agentops.bench.peers import Layout, WrongError
from agentops.bench.session import DEFAULT_WORKERS, Options, bench
from agentops.servers import ServerUnavailable
from agentops.stop_signals import raised_once
from agentops.supervisor import ProcessFailed


class Command(BaseCommand):
    """Play R runs of S super-steps with every peer in turn, and compare."""

    help = __doc__ or ""
    requires_system_checks = []
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--runs", type=_count, metavar="R", default=200)
        parser.add_argument("--steps", type=_count, metavar="S", default=20)
        parser.add_argument("--rounds", type=_count, metavar="N", default=5)
        parser.add_argument("--peers", choices=("langgraph", "none"), default="langgraph")
        parser.add_argument(
            "--workers",
            type=_layout,
            metavar="PxT",
            default=DEFAULT_WORKERS,
            help="AgentOps' worker processes x threads",
        )
        parser.add_argument(
            "--langgraph",
            type=_layout,
            metavar="PxT",
            help="LangGraph's processes x threads; the fastest is looked for without",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Measure; the last line is one JSON object."""
        asked = Options(**{name: options[name] for name in Options.__slots__})
        try:
            with raised_once():
                report = bench(asked, self._say)
        except (ServerUnavailable, ProcessFailed, WrongError) as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            self._say("Stopped.")
            sys.exit(130)
        for line in report.table():
            self._say(line)
        self._say(report.line())

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def _layout(text: str) -> Layout:
    found = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not like 2x8: processes x threads")
    return Layout(int(found[1]), int(found[2]))
