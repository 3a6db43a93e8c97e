"""Replay a recorded run offline: `manage.py replay RUN --tenant acme`."""

from __future__ import annotations

import sys
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from policy import tenancy
from policy.core.json import canonical
from policy.management.tenants import named_tenant
from runs.errors import HistoryGone, UnknownAgent, UnknownRun
from runs.operations.replay import replay_run


class Command(BaseCommand):
    """`manage.py replay RUN --tenant SLUG`: exit 1 where it comes out differently."""

    help = "Execute a recorded run again from its rows, calling nothing, and compare each step."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare which run."""
        parser.add_argument("run", type=UUID, help="the id of the run")
        parser.add_argument("--tenant", required=True, help="the tenant's slug")

    def handle(self, *_: Any, **options: Any) -> None:
        """Replay it; the last line is one JSON object.

        Raises:
            CommandError: no such tenant or run, or this code cannot run its agent version.
        """
        tenant = named_tenant(options["tenant"])
        try:
            with tenancy.scope(tenant.id):
                found = replay_run(options["run"])
        except (UnknownRun, UnknownAgent, HistoryGone) as error:
            raise CommandError(str(error)) from error
        same = found.first_difference is None
        self.stdout.write(
            f"{found.super_steps} super-steps came out the same"
            if same
            else f"different: {found.first_difference}"
        )
        last = {
            "run": str(options["run"]),
            "super_steps": found.super_steps,
            "same": same,
            "first_difference": found.first_difference,
            "digest": found.digest,
        }
        self.stdout.write(canonical(last).decode())
        if not same:
            sys.exit(1)
