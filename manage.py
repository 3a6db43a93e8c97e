#!/usr/bin/env python
"""The operator's command line. Its commands use the system's database role.

Commands that start or look for servers themselves run before settings are read; others find
the servers in the environment, or those of the session that `make up` keeps running.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Final

from django.core.management import execute_from_command_line

from agentops.dev.record import adopt_environment

BEFORE_SETTINGS: Final = frozenset(
    {
        "dev",
        "status",
        "doctor",
        "scratch",
        "play",
        "bench",
        "crashsweep",
        "load",
        "storm",
        "redteam",
    }
)
ELSEWHERE: Final = {"simulate": "runs.management.commands.simulate"}
"""Commands that need neither settings nor servers, and belong to another app."""


def main() -> None:
    """Run one command."""
    name = sys.argv[1] if len(sys.argv) > 1 else "help"
    if name in BEFORE_SETTINGS or name in ELSEWHERE:
        place = ELSEWHERE.get(name, f"agentops.management.commands.{name}")
        import_module(place).Command().run_from_argv(sys.argv)
        return
    adopt_environment()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agentops.settings")
    os.environ.setdefault("AGENTOPS_DATABASE_ROLE", "system")
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
