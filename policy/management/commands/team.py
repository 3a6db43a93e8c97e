"""Teams of a tenant: `manage.py team add sales backend --tenant acme`."""

from __future__ import annotations

from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser

from policy import tenancy
from policy.core.actor import command
from policy.errors import PolicyError
from policy.management.tenants import named_tenant
from policy.models import Team
from policy.operations.teams import create_team, join_team

OPERATOR: Final = command("team")


class Command(BaseCommand):
    """`manage.py team create|add|remove|list --tenant SLUG`."""

    help = "Make teams, whose members' runs count for one budget, and say who is in which."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the verbs."""
        verbs = parser.add_subparsers(dest="verb", required=True)
        create = verbs.add_parser("create", help="make a team; prints its id")
        create.add_argument("team", help="the team's name")
        add = verbs.add_parser("add", help="let a principal's runs count for a team")
        add.add_argument("team", help="the team's name")
        remove = verbs.add_parser("remove", help="let a principal's runs count for no team")
        for verb in (add, remove):
            verb.add_argument("principal", help="the principal's name")
        show = verbs.add_parser("list", help="list teams and who is in them")
        for verb in (create, add, remove, show):
            verb.add_argument("--tenant", required=True, help="the tenant's slug")

    def handle(self, *_: Any, **options: Any) -> None:
        """Do what was asked.

        Raises:
            CommandError: there is no such tenant, team or principal.
        """
        try:
            with tenancy.scope(named_tenant(options["tenant"]).id):
                getattr(self, f"_{options['verb']}")(options)
        except PolicyError as error:
            raise CommandError(str(error)) from error

    def _create(self, options: dict[str, Any]) -> None:
        self.stdout.write(str(create_team(options["team"], by=OPERATOR)))

    def _add(self, options: dict[str, Any]) -> None:
        join_team(options["principal"], options["team"], by=OPERATOR)

    def _remove(self, options: dict[str, Any]) -> None:
        join_team(options["principal"], None, by=OPERATOR)

    def _list(self, _: dict[str, Any]) -> None:
        for team in Team.objects.order_by("name").prefetch_related("principals"):
            members = ", ".join(sorted(member.name for member in team.principals.all()))
            self.stdout.write(f"{team.id}  {team.name}  {members or '-'}")
