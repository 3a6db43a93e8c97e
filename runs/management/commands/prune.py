"""Remove history that is no longer kept: `manage.py prune --dry-run`."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from policy.core.actor import command
from policy.management.tenants import named_tenant
from runs.operations.prune import prunable, prune

OPERATOR = command("prune")


class Command(BaseCommand):
    """`manage.py prune [--tenant SLUG] [--dry-run]`; the last line is one JSON object."""

    help = (
        "Remove the history of runs that ended longer ago than their tenants keep it. The "
        "sweeper does the same, a hundred runs at a time."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare of whom, and whether to look only."""
        parser.add_argument("--tenant", default="", help="only this tenant's runs, by its slug")
        parser.add_argument("--dry-run", action="store_true", help="say what would be removed")

    def handle(self, *_: Any, **options: Any) -> None:
        """Prune, or look.

        Raises:
            CommandError: there is no such tenant.
        """
        tenant_id = named_tenant(options["tenant"]).id if options["tenant"] else None
        dry = options["dry_run"]
        found = prunable(tenant_id=tenant_id) if dry else prune(tenant_id=tenant_id, by=OPERATOR)
        total = {"runs": 0, "checkpoints": 0, "events": 0, "effects": 0}
        for run in found:
            total["runs"] += 1
            for name in ("checkpoints", "events", "effects"):
                total[name] += getattr(run, name)
            if options["verbosity"] > 1:
                self.stdout.write(f"{run.run_id}  {run.checkpoints} checkpoints")
        self.stdout.write(json.dumps({**total, "dry_run": dry}))
