"""`manage.py crashsweep`: kill a process at every named fault point in turn, and compare."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import CommandParser

from agentops.crashsweep.session import Options, WrongHitError, WrongPlayError, sweep
from agentops.management.proof import ProofCommand, chosen, count
from agentops.proving.stage import StalledError


class Command(ProofCommand):
    """Real servers, real workers, a real SIGKILL at each hit of each point."""

    help = __doc__ or ""
    failures = (StalledError, WrongPlayError)
    misuses = (WrongHitError,)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--every", type=count, default=1, metavar="N", help="each N-th hit")
        parser.add_argument("--points", metavar="NAMES", help="only of these: join.*,save.after")
        parser.add_argument("--limit", type=count, metavar="N", help="at most so many kills")
        parser.add_argument("--first", action="store_true", help="the first hit of each point")
        parser.add_argument("--hit", metavar="NAME:NUMBER", help="only this one hit")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Sweep; exit with 0 only if every kill came and changed nothing but time."""
        asked = Options(**chosen(options, Options))
        report = self.prove(lambda: sweep(asked, self.say))
        for line in report.table():
            self.say(line)
        self.say(report.line())
        if not report.all_right:
            sys.exit(1)
