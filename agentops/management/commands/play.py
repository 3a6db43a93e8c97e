"""`manage.py play WORKLOAD.json`: prove the product against a world outside of it."""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from agentops.play.kept import OtherPlayError
from agentops.play.report import Report
from agentops.play.session import Options, play
from agentops.play.workload import WorkloadError
from agentops.servers import ServerUnavailable
from agentops.stop_signals import raised_once
from agentops.supervisor import ProcessFailed


class Command(BaseCommand):
    """Play every task of a workload through the HTTP API, and judge how each ended."""

    help = __doc__ or ""
    requires_system_checks = []
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("workload", type=Path, metavar="WORKLOAD.json")
        parser.add_argument("--tasks", type=_count, metavar="N", help="play only the first N")
        parser.add_argument(
            "--concurrency", type=_count, metavar="N", default=16, help="unfinished runs at once"
        )
        parser.add_argument(
            "--data", type=_folder, metavar="DIR", help="keep everything; the same command goes on"
        )
        parser.add_argument("--approve-writes", action="store_true", help="writes need approval")
        parser.add_argument(
            "--kill-worker-every", type=_span, metavar="SECONDS", help="SIGKILL a random worker"
        )
        parser.add_argument("--model-latency", type=_seconds, metavar="SECONDS", default=0.0)
        parser.add_argument("--tool-latency", type=_seconds, metavar="SECONDS", default=0.0)
        parser.add_argument(
            "--blunt", action="store_true", help="the tool server ignores idempotency keys"
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Play; exit with 0 only if every task is right, with 2 for what cannot be played."""
        report = self._play(Options(**{name: options[name] for name in Options.__slots__}))
        for line in report.table():
            self._say(line)
        self._say(report.line())
        if not report.all_right:
            sys.exit(1)

    def _play(self, asked: Options) -> Report:
        try:
            with raised_once():
                return play(asked, self._say)
        except (WorkloadError, OtherPlayError) as error:
            raise CommandError(str(error), returncode=2) from error
        except (ServerUnavailable, ProcessFailed) as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            self._say("Stopped. The same command goes on." if asked.data else "Stopped.")
            sys.exit(130)

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


def _folder(text: str) -> Path:
    path = Path(text)
    if path.exists() and not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is not a folder")
    return path


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds, 0 or more")
    return seconds


def _span(text: str) -> float:
    seconds = _seconds(text)
    if seconds == 0:
        raise argparse.ArgumentTypeError("must be more than 0 seconds")
    return seconds
