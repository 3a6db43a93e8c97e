"""`manage.py status`: the block of the running session again, from any terminal.

Exit codes: 0 a session runs; 1 none does.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from agentops import process_ids
from agentops.dev.block import block
from agentops.dev.record import current, state_folder
from agentops.dev.session import shown
from agentops.supervisor import recorded


class Command(BaseCommand):
    """Say what runs on the state folder of this checkout."""

    help = __doc__ or ""
    requires_system_checks = []
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="one JSON object, for scripts")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Print it; end with 1 when nothing runs."""
        state = state_folder()
        session = current(state)
        alive = {
            name: who.pid
            for run in (state / "run" / "servers", state / "run")
            for name, who, _ in recorded(run)
            if process_ids.is_alive(who)
        }
        if options["json"]:
            found = asdict(session) if session else {}
            found.pop("environment", None)
            self.stdout.write(json.dumps({"running": bool(session), **found, "processes": alive}))
        elif session:
            self.stdout.write(block(session))
            self.stdout.write(f"Running: {', '.join(f'{n} ({p})' for n, p in alive.items())}")
        else:
            self.stdout.write(f"Nothing runs on {shown(state)}. Start it with `make up`.")
        if not session:
            sys.exit(1)
