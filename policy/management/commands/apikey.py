"""Issue API keys: `manage.py apikey issue --tenant acme --role operator`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from policy import tenancy
from policy.core.actor import command
from policy.management.tenants import named_tenant
from policy.models import Principal, Role
from policy.operations.create_principal import create_principal
from policy.operations.issue_key import issue_key

OPERATOR = command("apikey")


class Command(BaseCommand):
    """`manage.py apikey issue --tenant SLUG --role ROLE...`; prints the key, once."""

    help = "Issue an API key. It is printed once; only its hash is kept."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the verb and for whom the key is."""
        verbs = parser.add_subparsers(dest="verb", required=True)
        issue = verbs.add_parser("issue", help="issue a key")
        issue.add_argument("--tenant", required=True, help="the tenant's slug")
        issue.add_argument(
            "--role", action="append", required=True, choices=Role.values, dest="roles"
        )
        issue.add_argument(
            "--scope", action="append", default=[], dest="scopes", help="what data it may touch"
        )
        issue.add_argument("--name", default="", help="who holds the key")
        issue.add_argument("--live", action="store_true", help="ao_live_ instead of ao_test_")
        issue.add_argument("--days", type=int, help="days until the key ends (default: never)")

    def handle(self, *_: Any, **options: Any) -> None:
        """Issue the key.

        Raises:
            CommandError: there is no such tenant.
        """
        tenant = named_tenant(options["tenant"])
        name = options["name"] or f"key of {', '.join(sorted(options['roles']))}"
        expires_at = timezone.now() + timedelta(days=options["days"]) if options["days"] else None
        with tenancy.scope(tenant.id):
            known = Principal.objects.filter(name=name, user=None).first()
            principal_id = (
                known.id
                if known
                else create_principal(name, options["roles"], scopes=options["scopes"], by=OPERATOR)
            )
            issued = issue_key(
                principal_id, live=options["live"], expires_at=expires_at, by=OPERATOR
            )
        self.stdout.write(issued.secret)
