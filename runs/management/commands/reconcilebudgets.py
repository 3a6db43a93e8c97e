"""Compare budgets with the ledger: `manage.py reconcilebudgets --mend`."""

from __future__ import annotations

import json
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser

from policy import tenancy
from policy.core.actor import command
from policy.management.tenants import all_tenants, named_tenant
from policy.queries import TenantName
from runs.operations.reconcile_budgets import compare, mend

OPERATOR: Final = command("reconcilebudgets")


class Command(BaseCommand):
    """`manage.py reconcilebudgets [--tenant SLUG] [--mend]`; the last line is one JSON object."""

    help = (
        "Add up what the ledger says that was spent and is set aside, and name every budget that "
        "says something else. Fails if one is left that does."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare of whom, and whether to mend."""
        parser.add_argument("--tenant", default="", help="only this tenant's budgets, by its slug")
        parser.add_argument(
            "--mend", action="store_true", help="let budgets say what the ledger says"
        )

    def handle(self, *_: Any, **options: Any) -> None:
        """Compare, and mend where asked.

        Raises:
            CommandError: there is no such tenant.
            SystemExit: a budget differs from the ledger still.
        """
        slug = options["tenant"]
        tenants = [named_tenant(slug)] if slug else all_tenants()
        if not tenants:
            raise CommandError("there are no tenants yet")
        total = {"budgets": 0, "drifted": 0, "mended": 0}
        for tenant in tenants:
            self._reconcile(tenant, total, mends=options["mend"])
        self.stdout.write(json.dumps(total))
        if total["drifted"] > total["mended"]:
            raise SystemExit(1)

    def _reconcile(self, tenant: TenantName, total: dict[str, int], *, mends: bool) -> None:
        with tenancy.scope(tenant.id):
            every = compare(tenant.id)
        total["budgets"] += len(every)
        for found in every:
            if not found.drifted:
                continue
            total["drifted"] += 1
            told = json.dumps(found.told())
            self.stdout.write(f"{tenant.slug}  {found.scope}  {found.budget_id}  {told}")
            if mends:
                with tenancy.scope(tenant.id):
                    mend(tenant.id, found.budget_id, by=OPERATOR)
                total["mended"] += 1
