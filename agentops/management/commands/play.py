"""`manage.py play WORKLOAD.json`: prove the product against a world outside of it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from agentops.management.proof import ProofCommand, chosen, count, seconds
from agentops.play.kept import OtherPlayError
from agentops.play.session import Options, play
from agentops.play.workload import WorkloadError


class Command(ProofCommand):
    """Play every task of a workload through the HTTP API, and judge how each ended."""

    help = __doc__ or ""
    misuses = (WorkloadError, OtherPlayError)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("workload", type=Path, metavar="WORKLOAD.json")
        parser.add_argument("--tasks", type=count, metavar="N", help="play only the first N")
        parser.add_argument(
            "--concurrency", type=count, metavar="N", default=16, help="unfinished runs at once"
        )
        parser.add_argument(
            "--data", type=_folder, metavar="DIR", help="keep everything; the same command goes on"
        )
        parser.add_argument("--approve-writes", action="store_true", help="writes need approval")
        parser.add_argument(
            "--kill-worker-every", type=_span, metavar="SECONDS", help="SIGKILL a random worker"
        )
        parser.add_argument("--model-latency", type=seconds, metavar="SECONDS", default=0.0)
        parser.add_argument("--tool-latency", type=seconds, metavar="SECONDS", default=0.0)
        parser.add_argument(
            "--blunt", action="store_true", help="the tool server ignores idempotency keys"
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Play; exit with 0 only if every task is right, with 2 for what cannot be played."""
        asked = Options(**chosen(options, Options))
        stopped = "Stopped. The same command goes on." if asked.data else "Stopped."
        report = self.prove(lambda: play(asked, self.say), stopped=stopped)
        for line in report.table():
            self.say(line)
        self.say(report.line())
        if not report.all_right:
            sys.exit(1)


def _folder(text: str) -> Path:
    path = Path(text)
    if path.exists() and not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is not a folder")
    return path


def _span(text: str) -> float:
    found = seconds(text)
    if found == 0:
        raise argparse.ArgumentTypeError("must be more than 0 seconds")
    return found
