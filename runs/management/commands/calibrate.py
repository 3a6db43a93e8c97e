"""`manage.py calibrate`: learn from decided approvals; print what would be missed, as JSON."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from policy import tenancy
from policy.core.actor import command
from policy.queries import tenant_by_slug
from runs.operations.calibrate import calibrate, pairs


class Command(BaseCommand):
    """Calibrate the triggers confidence and out_of_distribution on what people decided."""

    help = "Learn from decided approvals how much confidence is worth, and what is unusual."
    requires_system_checks = ()

    def add_arguments(self, parser: Any) -> None:
        """Say whose calls of what."""
        parser.add_argument("--tenant", required=True, metavar="SLUG")
        parser.add_argument("--agent", default="", help="only this agent's calls")
        parser.add_argument("--tool", default="", help="only calls of this tool")
        parser.add_argument(
            "--bound", type=float, default=0.8, help="confidence below which calls are held"
        )
        parser.add_argument("--dry-run", action="store_true", help="report, and store nothing")

    def handle(self, **options: Any) -> None:
        """Learn, store, and print one JSON object per agent and tool."""
        tenant = tenant_by_slug(options["tenant"])
        if tenant is None:
            raise CommandError(f"there is no tenant {options['tenant']}")
        if not 0 < options["bound"] < 1:
            raise CommandError("--bound lies between 0 and 1")
        with tenancy.scope(tenant.id):
            for pair in pairs(agent=options["agent"], tool=options["tool"]):
                report = calibrate(
                    pair,
                    bound=options["bound"],
                    by=command("calibrate"),
                    keep=not options["dry_run"],
                )
                self.stdout.write(json.dumps(report))
