"""`manage.py scratch COMMAND ...`: run a management command on servers that are gone afterwards.

The exit code is that of the command.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from agentops import processes
from agentops.processes import CHECKOUT, command
from agentops.servers import ServerUnavailable, scratch
from agentops.stop_signals import raised_once


class Command(BaseCommand):
    """Start scratch servers, run the command on them, end them."""

    help = __doc__ or ""
    requires_system_checks = []
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("command_line", nargs=argparse.REMAINDER, metavar="COMMAND")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Run it, and end with its exit code.

        Raises:
            CommandError: the servers cannot be started.
        """
        try:
            with raised_once(), scratch(durable=False) as (state, servers):
                code = subprocess.call(  # noqa: S603 - what the person typed
                    command(("manage.py", *options["command_line"])),
                    env=processes.environment(servers, state, port=0),
                    cwd=CHECKOUT,
                )
        except ServerUnavailable as error:
            raise CommandError(str(error)) from error
        sys.exit(code)
