"""Take sleeping runs to another version: `manage.py migrateruns desk --from 1 --to 2 --dry-run`."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Final
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser
from uuid_utils.compat import uuid7

from policy import tenancy
from policy.core.actor import command
from policy.management.tenants import named_tenant
from runs.errors import RunsError
from runs.operations.migrate_runs import (
    Between,
    Verdict,
    between,
    migrate_run,
    migrated_runs,
    pinned_to,
    undo_one,
)

OPERATOR: Final = command("migrateruns")
EVERY: Final = 100
"""How many runs lie between two lines of progress."""
MOST_LINES: Final = 20


class Command(BaseCommand):
    """Exit 1 where a run had to be left as it is; the last line is one JSON object."""

    help = (
        "Take runs that wait, are queued, paused or parked from one version of an agent to "
        "another, each if it fits; or take such a migration back."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare which runs, and which way."""
        parser.add_argument("agent", nargs="?", default="", help="the agent's name")
        parser.add_argument("--tenant", required=True, help="the tenant's slug")
        parser.add_argument("--from", dest="origin", metavar="VERSION", help="that they are under")
        parser.add_argument("--to", dest="target", metavar="VERSION", help="that they go on under")
        parser.add_argument("--dry-run", action="store_true", help="look only; change nothing")
        parser.add_argument(
            "--undo", type=UUID, metavar="ID", help="take that migration back; see its last line"
        )

    def handle(self, *_: Any, **options: Any) -> None:
        """Migrate, look, or undo.

        Raises:
            CommandError: what was asked for does not go together, or is not there.
        """
        tenant_id = named_tenant(options["tenant"]).id
        forth = [options[name] for name in ("agent", "origin", "target")]
        if options["undo"] is None and not all(forth):
            raise CommandError("name the agent, --from and --to, or a migration to --undo")
        if options["undo"] is not None and (any(forth) or options["dry_run"]):
            raise CommandError("--undo goes with --tenant alone")
        try:
            done = (
                self._undo(tenant_id, options["undo"])
                if options["undo"] is not None
                else self._migrate(tenant_id, *forth, dry=options["dry_run"])
            )
        except RunsError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(json.dumps(done))
        if done["left"]:
            sys.exit(1)

    def _migrate(
        self, tenant_id: UUID, agent: str, origin: str, target: str, *, dry: bool
    ) -> dict[str, Any]:
        with tenancy.scope(tenant_id):
            versions = between(agent, origin=origin, target=target)
            ids = pinned_to(versions.origin)
        migration = None if dry else uuid7()
        counts = self._each(tenant_id, ids, lambda run: _one(run, versions, migration))
        return {
            "migration": None if migration is None else str(migration),
            "agent": agent,
            "from": origin,
            "to": target,
            **counts,
            "dry_run": dry,
        }

    def _undo(self, tenant_id: UUID, migration: UUID) -> dict[str, Any]:
        with tenancy.scope(tenant_id):
            ids = migrated_runs(migration)
        counts = self._each(tenant_id, ids, lambda row: undo_one(row, by=OPERATOR))
        return {"undone": str(migration), **counts}

    def _each(
        self, tenant_id: UUID, ids: Iterable[UUID], act: Callable[[UUID], Verdict]
    ) -> dict[str, int]:
        """Act on each in a transaction of its own, say how far it is and what was left why."""
        counts: Counter[bool] = Counter()
        for number, one in enumerate(ids, 1):
            with tenancy.scope(tenant_id):
                verdict = act(one)
            counts[verdict.is_moved] += 1
            if not verdict.is_moved and counts[False] <= MOST_LINES:
                self.stdout.write(f"{verdict.run_id}  left: {'; '.join(verdict.reasons)}")
            if number % EVERY == 0:
                self.stdout.write(f"{number} runs: {counts[True]} fit, {counts[False]} do not")
        if counts[False] > MOST_LINES:
            self.stdout.write(f"... and {counts[False] - MOST_LINES} more that were left")
        return {"runs": counts.total(), "moved": counts[True], "left": counts[False]}


def _one(run_id: UUID, versions: Between, migration: UUID | None) -> Verdict:
    return migrate_run(run_id, versions, migration=migration, by=OPERATOR)
