"""`manage.py crashsweep`: kill a process at every named fault point in turn, and compare."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from agentops.crashsweep.report import Report
from agentops.crashsweep.session import Options, WrongHitError, WrongPlayError, sweep
from agentops.proving.stage import StalledError
from agentops.servers import ServerUnavailable
from agentops.stop_signals import raised_once
from agentops.supervisor import ProcessFailed


class Command(BaseCommand):
    """Real servers, real workers, a real SIGKILL at each hit of each point."""

    help = __doc__ or ""
    requires_system_checks = []
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--every", type=_count, default=1, metavar="N", help="each N-th hit")
        parser.add_argument("--points", metavar="NAME", help="only the hits of this point")
        parser.add_argument("--limit", type=_count, metavar="N", help="at most so many kills")
        parser.add_argument("--first", action="store_true", help="the first hit of each point")
        parser.add_argument("--hit", metavar="NAME:NUMBER", help="only this one hit")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Sweep; exit with 0 only if every kill came and changed nothing but time."""
        report = self._sweep(Options(**{name: options[name] for name in Options.__slots__}))
        for line in report.table():
            self._say(line)
        self._say(report.line())
        if not report.all_right:
            sys.exit(1)

    def _sweep(self, asked: Options) -> Report:
        try:
            with raised_once():
                return sweep(asked, self._say)
        except WrongHitError as error:
            raise CommandError(str(error), returncode=2) from error
        except (ServerUnavailable, ProcessFailed, StalledError, WrongPlayError) as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            self._say("Stopped.")
            sys.exit(130)

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)
