"""Clear away the bytes that no run's state names any more: `manage.py artifacts --dry-run`."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from policy.core.actor import command
from policy.management.tenants import all_tenants, named_tenant
from runs.artifacts.here import kept_here
from runs.errors import ArtifactsAway
from runs.operations.clear_artifacts import clear_artifacts

OPERATOR = command("artifacts")


class Command(BaseCommand):
    """`manage.py artifacts [--tenant SLUG] [--hours N] [--dry-run]`; prints a JSON object."""

    help = (
        "Clear away artifacts that no state names any more. Looks through all checkpoints of a "
        "tenant that has any: run it at night, and once at a time."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare of whom, how old, and whether to look only."""
        parser.add_argument("--tenant", default="", help="only this tenant's, by its slug")
        parser.add_argument("--hours", type=float, default=24, help="how old at least (24)")
        parser.add_argument("--dry-run", action="store_true", help="say what would be cleared")

    def handle(self, *_: Any, **options: Any) -> None:
        """Clear, or look. A tenant whose artifacts cannot be reached does not stop the others.

        Raises:
            CommandError: there is no such tenant, it is too soon, or the storage was away; then
                what could be cleared is, and the figures leave out the tenants that are named.
        """
        tenants = [named_tenant(options["tenant"])] if options["tenant"] else all_tenants()
        total = {"old": 0, "unnamed": 0, "cleared": 0}
        failed: dict[str, ArtifactsAway] = {}
        for tenant in tenants:
            try:
                found = clear_artifacts(
                    kept_here(),
                    tenant_id=tenant.id,
                    now=timezone.now(),
                    age=timedelta(hours=options["hours"]),
                    by=OPERATOR,
                    dry_run=options["dry_run"],
                )
            except ArtifactsAway as error:
                failed[tenant.slug] = error
                continue
            except (ValueError, OverflowError) as error:
                raise CommandError(str(error)) from error
            for name, count in asdict(found).items():
                total[name] += count
        self.stdout.write(json.dumps({**total, "dry_run": options["dry_run"]}))
        if failed:
            told = (f"{slug}: {error.__cause__ or error}" for slug, error in failed.items())
            raise CommandError("not all was looked through: " + "; ".join(told))
