"""Create and list tenants: `manage.py tenant create acme --name "Acme Ltd"`."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from policy.errors import PolicyError
from policy.models import Tenant
from policy.operations.create_tenant import create_tenant


class Command(BaseCommand):
    """`manage.py tenant create SLUG` and `manage.py tenant list`."""

    help = "Create a tenant, or list them."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the two verbs."""
        verbs = parser.add_subparsers(dest="verb", required=True)
        create = verbs.add_parser("create", help="create a tenant")
        create.add_argument("slug", help="lower-case letters, digits and hyphens")
        create.add_argument("--name", default="", help="as people read it (default: the slug)")
        verbs.add_parser("list", help="list the tenants")

    def handle(self, *_: Any, **options: Any) -> None:
        """Do what was asked.

        Raises:
            CommandError: the slug cannot be used.
        """
        if options["verb"] == "list":
            for tenant in Tenant.objects.order_by("slug"):
                self.stdout.write(f"{tenant.id}  {tenant.slug}  {tenant.name}")
            return
        try:
            tenant_id = create_tenant(options["slug"], options["name"] or options["slug"])
        except PolicyError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(str(tenant_id))
