"""What the commands have in common that bring servers up and prove something."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable
from typing import Any, TypeVar

from django.core.management.base import BaseCommand, CommandError

from agentops.servers import ServerUnavailable
from agentops.stop_signals import raised_once
from agentops.supervisor import ProcessFailed

Found = TypeVar("Found")


class ProofCommand(BaseCommand):
    """A command that plays something on servers of its own; its last line is one JSON object.

    `failures` are the errors, beside servers and processes that cannot be had, that end it with
    1; `misuses` those that mean that it was asked for what cannot be done, and end it with 2.
    """

    requires_system_checks = []
    requires_migrations_checks = False
    failures: tuple[type[Exception], ...] = ()
    misuses: tuple[type[Exception], ...] = ()

    def prove(self, play: Callable[[], Found], *, stopped: str = "Stopped.") -> Found:
        """Play it and give what was found; `stopped` is said where somebody stops it.

        Raises:
            CommandError: it could not be played.
        """
        try:
            with raised_once():
                return play()
        except self.misuses as error:
            raise CommandError(str(error), returncode=2) from error
        except self.failures as error:
            raise CommandError(str(error)) from error
        except (ServerUnavailable, ProcessFailed) as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            self.say(stopped)
            sys.exit(130)

    def say(self, line: str) -> None:
        """Print a line at once."""
        self.stdout.write(line)
        self.stdout.flush()


def chosen(options: dict[str, Any], fields: Any) -> dict[str, Any]:
    """Take the options that a command's `Options` has fields for."""
    return {name: options[name] for name in fields.__slots__ if name in options}


def count(text: str) -> int:
    """Read a whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def seconds(text: str, least: float = 0.0) -> float:
    """Read a number of seconds that is not less than `least`."""
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not least <= found < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds, {least:g} or more")
    return found
